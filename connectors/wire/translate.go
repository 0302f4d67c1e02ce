package wire

// translation is a document in our own form, made of one in a form of others. It
// is written as JSON and decoded like any other, so that there is one place that
// checks and one that pseudonymises.
type translation struct {
	body []byte
	from *document
}

// object begins an object, a member of the one at hand if it has a name.
func (t *translation) object(name string) {
	t.name(name)
	t.body = append(t.body, '{')
}

// list begins a list.
func (t *translation) list(name string) {
	t.name(name)
	t.body = append(t.body, '[')
}

// end ends what was begun last with its closing bracket.
func (t *translation) end(bracket byte) { t.body = append(t.body, bracket) }

// name puts a comma where one is needed, and the member's name.
func (t *translation) name(name string) {
	if n := len(t.body); n > 0 && t.body[n-1] != '{' && t.body[n-1] != '[' {
		t.body = append(t.body, ',')
	}
	if name != "" {
		t.body = append(appendQuoted(t.body, name), ':')
	}
}

// text adds a string, unless it is empty.
func (t *translation) text(name, value string) {
	if value != "" {
		t.name(name)
		t.body = appendQuoted(t.body, value)
	}
}

// number adds what is written as a number, as it is.
func (t *translation) number(name, digits string) {
	if digits != "" {
		t.name(name)
		t.body = append(t.body, digits...)
	}
}

// copy adds the first of several members of an object that is there, under a name
// of ours: texts and numbers as they are, and of others only that they are there,
// so that they are refused for their type.
func (t *translation) copy(name string, object uint32, members ...string) {
	i := t.first(object, members)
	if i == none {
		return
	}
	t.name(name)
	switch n := &t.from.nodes[i]; n.kind {
	case kindString:
		t.body = appendQuoted(t.body, string(t.from.bytes(n)))
	case kindNumber:
		t.body = append(t.body, t.from.bytes(n)...)
	default:
		t.body = append(t.body, "false"...)
	}
}

// copyText is copy for what we keep as a string and others may write as a number,
// such as the number of an article.
func (t *translation) copyText(name string, object uint32, members ...string) {
	if text := t.said(object, members...); text != "" {
		t.text(name, text)
		return
	}
	t.copy(name, object, members...)
}

// said is the text of the first of several members that is there, if it is a
// string or a number.
func (t *translation) said(object uint32, members ...string) string {
	i := t.first(object, members)
	if i == none {
		return ""
	}
	if n := &t.from.nodes[i]; n.kind == kindString || n.kind == kindNumber {
		return string(t.from.bytes(n))
	}
	return ""
}

func (t *translation) first(object uint32, members []string) uint32 {
	if object == none {
		return none
	}
	for _, m := range members {
		if i, _ := t.from.find(object, m); i != none {
			return i
		}
	}
	return none
}

// inside is the object that a member of an object is, or none.
func (t *translation) inside(object uint32, member string) uint32 {
	if i := t.first(object, []string{member}); i != none && t.from.nodes[i].kind == kindObject {
		return i
	}
	return none
}

// identify adds one identifier of a person to the list at hand.
func (t *translation) identify(typ, value string) {
	if value == "" {
		return
	}
	t.object("")
	t.text("type", typ)
	t.text("value", value)
	t.end('}')
}
