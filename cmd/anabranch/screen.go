package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"anabranch.dev/engine/node"
	"anabranch.dev/operators/event"
)

// say prints to people. A screen that can't be written to stops nothing.
func say(w io.Writer, form string, args ...any) { _, _ = fmt.Fprintf(w, form, args...) }

// colourful says whether w is a terminal that wants colours.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	_, unwanted := os.LookupEnv("NO_COLOR")
	return ok && !unwanted && term.IsTerminal(int(f.Fd()))
}

// banner says what runs where.
func (d *dev) banner() {
	address := d.listeners[0].Addr().String()
	note := ""
	if d.taken != "" {
		note = "  (" + d.taken + " is taken)"
	}
	nodes := "one node"
	if d.flags.nodes > 1 {
		nodes = fmt.Sprintf("%d nodes", d.flags.nodes)
	}
	say(d.out, "Anabranch %s, %s, durability %s, clock %s\n", version, nodes, d.flags.durability, d.flags.clock)
	say(d.out, "  console  http://%s/%s\n", address, note)
	say(d.out, "  API      http://%s/openapi.json\n", address)
	for i, n := range d.cluster.Nodes {
		if d.flags.nodes > 1 {
			say(d.out, "  node %s  http://%s/  peers %s\n", n.ID, d.listeners[i].Addr(), n.PeerAddr())
		}
	}
	switch {
	case d.broker == nil:
		note = ""
	case d.broker.PortTaken():
		note = ", embedded  (port 9092 is taken)"
	default:
		note = ", embedded"
	}
	say(d.out, "  Kafka    %s%s\n", d.brokers[0], note)
	kept := "kept"
	if d.flags.data == "" {
		kept = "removed at the end"
	}
	say(d.out, "  data     %s, %s\n", d.dir.Path, kept)
	if d.flags.noSample {
		say(d.out, "  sample   off\n")
	} else if d.flags.clock == node.ClockReplay {
		say(d.out, "  sample   off under the replay clock; bring events with 'anabranch replay'\n")
	} else {
		say(d.out, "  sample   on; in another terminal try: anabranch get stock glasses-7\n")
	}
	say(d.out, "Ctrl-C ends it.\n\n")
}

// screen prints decisions. It is used by one goroutine.
type screen struct {
	out     io.Writer
	quiet   bool
	colours bool
	first   bool
}

func newScreen(out io.Writer, quiet bool) *screen {
	return &screen{out: out, quiet: quiet, colours: colourful(out), first: true}
}

func (s *screen) show(d *decision) {
	if d.Type == typeReleased {
		if !s.quiet {
			say(s.out, "%s  %-9s %-11s  %s\n", d.Time.Local().Format("15:04:05.000"), d.Order, "released", d.Reason)
		}
		return
	}
	if s.first {
		s.first = false
		say(s.out, "first decision read back from the topic %.1f s after the start of this process\n", time.Since(started).Seconds())
	} else if s.quiet {
		return
	}
	say(s.out, "%s  %-9s %s  %s\n", d.Time.Local().Format("15:04:05.000"), d.Order, s.outcome(d), strings.Join(linesText(d.Lines), "; "))
}

// outcome is the worst outcome of the lines, padded.
func (s *screen) outcome(d *decision) string {
	outcome, colour := event.Allocated, text.FgGreen
	for _, l := range d.Lines {
		switch {
		case l.Outcome == event.Failed:
			outcome, colour = event.Failed, text.FgRed
		case l.Outcome == event.Backordered && outcome == event.Allocated:
			outcome, colour = event.Backordered, text.FgYellow
		}
	}
	padded := fmt.Sprintf("%-11s", outcome)
	if !s.colours {
		return padded
	}
	return text.Colors{colour}.Sprint(padded)
}

func linesText(lines []event.DecidedLine) []string {
	var texts []string
	for i, l := range lines {
		if i == 3 {
			return append(texts, fmt.Sprintf("and %d more lines", len(lines)-i))
		}
		t := fmt.Sprintf("%d × %s", l.Quantity, l.SKU)
		for j, p := range l.Parts {
			word := " from "
			if j > 0 {
				word = " + "
			}
			t += word + p.Location
			if len(l.Parts) > 1 {
				t += " (" + strconv.FormatInt(p.Quantity, 10) + ")"
			}
		}
		if l.Reason != "" {
			t += " – " + l.Reason
		}
		texts = append(texts, t)
	}
	return texts
}

// listenNear listens on an address, or on the next free of the hundred ports
// behind it; taken is then the address that was asked for.
func listenNear(address string) (l net.Listener, taken string, err error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", usagef("--http %s: %w; want HOST:PORT, such as 127.0.0.1:8470", address, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return nil, "", usagef("--http %s: %q is not a port", address, portText)
	}
	for try := port; try < port+100 && try <= 65535; try++ {
		l, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(try)))
		if err == nil {
			if try != port {
				taken = net.JoinHostPort(host, portText)
			}
			return l, taken, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || port == 0 {
			break
		}
	}
	return nil, "", fmt.Errorf("--http %s: %w; name another address", address, err)
}
