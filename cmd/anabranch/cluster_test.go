package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// three is a cluster of three as one of its nodes tells it: one node damaged,
// one away.
const three = `{"node":"n1","cluster":"shop","durability":"disk","clock":"wall","fingerprint":"ab12","feature_level":1,"level_in_force":1,"ready":true,
"groups":[],"inputs":[{"name":"retail.sales","partition":2,"next":7,"end":9,"events":7,"applied":6,"duplicates":1,"dead_letters":0,"state":"reading"}],
"nodes":[
{"node":"n1","peer":"10.0.0.1:8471","http":"10.0.0.1:8470","version":"v1","feature_level":1,"ready":true,"clock_ahead_us":0,"groups":[
 {"group":0,"replica":"n1.1","leader":"n1","role":"leader","term":3,"commit":120,"applied":120,"written":118,"outbox_records":4,"delivery":"sending","voters":3,"dead_lettered":1}]},
{"node":"n2","peer":"10.0.0.2:8471","http":"10.0.0.2:8470","version":"v1","feature_level":1,"ready":false,"not_ready":"group 0: catching up","clock_ahead_us":-1500,"groups":[
 {"group":0,"replica":"n2.2","leader":"n1","role":"joining","damaged":"log record 7 is bad: set aside, n2.2 takes its place","term":3,"commit":110,"applied":90,"written":90,"outbox_records":4,"delivery":"waiting: not leader","voters":3,"dead_lettered":1}]},
{"node":"n3","peer":"10.0.0.3:8471","http":"10.0.0.3:8470","unreachable":"connection refused","ready":false,"clock_ahead_us":0,"groups":[]}]}`

func TestClusterStatus(t *testing.T) {
	server := answering(t, 200, three, nil)
	code, out, errs := run(t, "cluster", "status", "--addr", server)
	const want = `shop, asked n1  durability disk  clock wall  pseudonym key ab12  feature level 1 in force

NODE  READY       CLOCK  VERSION  LEVEL  API            PEERS
n1    yes            0s  v1           1  10.0.0.1:8470  10.0.0.1:8471
n2    no         -1.5ms  v1           1  10.0.0.2:8470  10.0.0.2:8471
n3    no answer                          10.0.0.3:8470  10.0.0.3:8471

GROUP  NODE  REPLICA  ROLE     TERM  COMMIT  APPLIED  BEHIND  WRITTEN  OUTBOX  DEAD LETTERS  DELIVERY
    0  n1    n1.1     leader      3     120      120       0      118       4             1  sending
    0  n2    n2.2     joining     3     110       90      30       90       4             1

TOPIC         PARTITION  NEXT  END  EVENTS  APPLIED  DUPLICATES  DEAD LETTERS  STATE
retail.sales          2     7    9       7        6           1             0  reading

1. group 0 on node n2 has a new replica that does not vote yet: log record 7 is bad: set aside, n2.2 takes its place
   -> wait: it is filled from the leader by itself; fewer nodes are sound than a majority: stop none. Then look at that node's disk, and into its quarantine folder
2. node n3 does not answer: connection refused
   -> start it if its process is gone (the end of its log says why), else look at the way to 10.0.0.3:8471; fewer nodes are sound than a majority: stop none
`
	if code != exitDone || out != want {
		t.Errorf("cluster status = %d: %s\n%swant\n%s", code, errs, out, want)
	}
}

// An upgrade that is on its way is told of: which nodes are to follow, and what
// comes then.
func TestClusterUpgrade(t *testing.T) {
	status := func(one, two, other int) string {
		return fmt.Sprintf(`{"node":"n1","level_in_force":1,"groups":[{"group":0,"level":1,"leader":"n1"},{"group":1,"level":%d,"leader":"n1"}],"nodes":[
{"node":"n1","ready":true,"feature_level":%d},{"node":"n2","ready":true,"feature_level":%d}]}`, other, one, two)
	}
	for _, tt := range []struct{ answer, want string }{
		{status(1, 1, 1), "All is well"},
		{status(2, 1, 1), "some nodes know feature level 2; 1 is in force, as n2 may not know it\n   -> run the same build on every node, then: anabranch cluster upgrade"},
		{status(2, 2, 1), "all nodes know feature level 2; 1 is in force\n   -> when no node is to go back to the build before: anabranch cluster upgrade"},
		{status(2, 2, 2), "group 1 is at feature level 2, not all groups are\n   -> anabranch cluster upgrade"},
	} {
		code, out, errs := run(t, "cluster", "status", "--addr", answering(t, 200, tt.answer, nil))
		if code != exitDone || !strings.Contains(out, tt.want) || !strings.Contains(out, "feature level 1 in force") {
			t.Errorf("status = %d: %s%s; want %q", code, out, errs, tt.want)
		}
	}
	for answer, want := range map[string]string{
		`{"before":1,"level":2}`: "feature level 2 is in force, before it was 1\n",
		`{"before":2,"level":2}`: "feature level 2 is in force, the highest that the nodes know\n",
	} {
		asked := ""
		server := answering(t, 200, answer, func(r *http.Request) { asked = r.Method + " " + r.URL.Path })
		if code, out, errs := run(t, "cluster", "upgrade", "--addr", server); code != exitDone || out != want || asked != "POST /v1/cluster/upgrade" {
			t.Errorf("upgrade = %d: %s%s; asked %s", code, out, errs, asked)
		}
	}
	refused := answering(t, 409, `{"status":409,"detail":"upgrade: node n2 knows feature level 1","code":"refused"}`, nil)
	if code, _, errs := run(t, "cluster", "upgrade", "--addr", refused); code != exitFailed || !strings.Contains(errs, "node n2 knows feature level 1") {
		t.Errorf("upgrade that is refused = %d: %s", code, errs)
	}
}

// A node that can't tell of the others shows what it knows, and what is the
// matter.
func TestClusterStatusAlone(t *testing.T) {
	server := answering(t, 200, `{"node":"n1","cluster":"shop","not_ready":"waiting for cluster init","groups":[{"group":0,"role":"follower"}],"nodes":[],"nodes_unknown":"not formed"}`, nil)
	code, out, _ := run(t, "cluster", "status", "--addr", server)
	for _, want := range []string{"n1    no", "node n1 is not ready: waiting for cluster init", "the other nodes are not known: not formed", "1. group 0 has no leader"} {
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("cluster status = %d: %s\nwant %q", code, out, want)
		}
	}
}

// init asks until every node is ready, and says what it waits for when it takes
// too long.
func TestClusterInit(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"formed":true}`
		if r.URL.Path == "/v1/cluster" {
			asked++
			answer = three
			if asked > 2 {
				answer = `{"cluster":"shop","nodes":[{"node":"n1","ready":true},{"node":"n2","ready":true},{"node":"n3","ready":true}]}`
			}
		}
		if _, err := io.WriteString(w, answer); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	code, out, errs := run(t, "cluster", "init", "--addr", s.URL)
	if code != exitDone || asked != 3 || !strings.Contains(out, "cluster shop is formed of 3 nodes\n\nNODE  READY") {
		t.Errorf("init = %d after %d questions: %s%s", code, asked, out, errs)
	}
	code, _, errs = run(t, "cluster", "init", "--addr", answering(t, 200, three, nil), "--wait", "300ms")
	if code != exitFailed || !strings.Contains(errs, "not ready in time: node n2: group 0: catching up") {
		t.Errorf("init that takes too long = %d: %s", code, errs)
	}
	refused := answering(t, 409, `{"status":409,"detail":"form cluster: n2 has 64 shards, not 256","code":"refused"}`, nil)
	if code, _, errs = run(t, "cluster", "init", "--addr", refused); code != exitFailed || !strings.Contains(errs, "n2 has 64 shards, not 256 (409 refused)") {
		t.Errorf("init that is refused = %d: %s", code, errs)
	}
}

func TestClusterTransfer(t *testing.T) {
	var asked string
	server := answering(t, 200, `{"group":1,"from":"n1","leader":"n2","took_us":4100}`, func(r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked = r.Method + " " + r.URL.Path + " " + string(body)
	})
	code, out, errs := run(t, "cluster", "transfer", "1", "--to", "n2", "--addr", server)
	if code != exitDone || out != "group 1: n2 leads, before it was n1; handed over in 4.1 ms\n" || asked != `POST /v1/cluster/transfer {"group":1,"to":"n2"}` {
		t.Errorf("transfer = %d: %s%s; asked %s", code, out, errs, asked)
	}
	for _, args := range [][]string{{"cluster", "transfer"}, {"cluster", "transfer", "first"}, {"cluster", "transfer", "-1"}} {
		if code, _, _ := run(t, args...); code != exitUsage {
			t.Errorf("anabranch %v = %d; want %d", args, code, exitUsage)
		}
	}
}

// The next address is tried when one can't be reached, not when one answers
// badly, and one that answered is asked first from then on.
func TestSeveralAddresses(t *testing.T) {
	answers := 0
	good := answering(t, 200, stockJSON, func(*http.Request) { answers++ })
	bad := answering(t, 503, `{"status":503,"detail":"no leader","code":"unavailable"}`, nil)
	nobody := "127.0.0.1:1"
	if code, _, errs := run(t, "get", "stock", "glasses-7", "--addr", nobody+", "+good); code != exitDone || answers != 1 {
		t.Errorf("second address = %d: %s", code, errs)
	}
	if code, _, errs := run(t, "get", "stock", "glasses-7", "--addr", bad+","+good); code != exitFailed || !strings.Contains(errs, "no leader") || answers != 1 {
		t.Errorf("first address answers 503 = %d, %d answers of the second: %s", code, answers, errs)
	}
	code, _, errs := run(t, "get", "stock", "glasses-7", "--addr", nobody+",127.0.0.1:2")
	if code != exitFailed || strings.Count(errs, "no node listens there") != 2 {
		t.Errorf("nobody = %d: %s; want both named", code, errs)
	}
	c := &client{addr: "a,b,c", at: "b"}
	if list := strings.Join(c.addresses(), " "); list != "b c a" {
		t.Errorf("addresses = %s; want b c a", list)
	}
}

func TestKeyCreate(t *testing.T) {
	path := t.TempDir() + "/people.key"
	code, out, errs := run(t, "key", "create", path)
	if code != exitDone || !strings.Contains(out, "a new key with the fingerprint") {
		t.Fatalf("key create = %d: %s%s", code, out, errs)
	}
	if code, _, errs := run(t, "key", "create", path); code != exitFailed || !strings.Contains(errs, "is there already") {
		t.Errorf("key create again = %d: %s", code, errs)
	}
}
