package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Changes of members wait until they are carried out, and say what they wait for
// when it takes too long.
func TestClusterMembers(t *testing.T) {
	const two = `{"node":"n2","nodes":[{"node":"n2","ready":true,"state":"member"},{"node":"n3","ready":true,"state":"member"}]}`
	tests := []struct {
		args        []string
		asked       string
		decided     string
		before, now string // status, when it is asked twice and from then on
		code        int
		want        string
	}{
		{[]string{"add", "n3", "10.0.0.3:8471"}, `/v1/cluster/add {"node":"n3","peer":"10.0.0.3:8471"}`, "joining",
			strings.Replace(two, `"state":"member"}]`, `"state":"joining"}]`, 1), two, exitDone, "node n3 is a member; the cluster has 2 nodes\n\nNODE  READY"},
		{[]string{"add", "n4", "10.0.0.4:8471"}, `/v1/cluster/add {"node":"n4","peer":"10.0.0.4:8471"}`, "joining", two, two, exitFailed,
			"it is decided that node n4 is joining, but not carried out in time: the asked node does not know it yet"},
		{[]string{"drain", "n3"}, `/v1/cluster/drain {"node":"n3","undo":false}`, "draining",
			`{"node":"n2","nodes":[{"node":"n3","groups":[{"group":1,"leader":"n3"}]}]}`, strings.Replace(two, `"state":"member"}]`, `"state":"draining"}]`, 1),
			exitDone, "node n3 is drained: it leads nothing\n\nNODE  READY          CLOCK  VERSION  LEVEL  API  PEERS\nn2    yes               0s\nn3    yes, draining     0s\n"},
		{[]string{"drain", "n3", "--undo"}, `/v1/cluster/drain {"node":"n3","undo":true}`, "member", two, two, exitDone, "node n3 is a member as before"},
		{[]string{"remove", "n1", "--force"}, `/v1/cluster/remove {"force":true,"node":"n1"}`, "leaving",
			`{"node":"n2","nodes":[{"node":"n1"},{"node":"n2"},{"node":"n3"}]}`, two, exitDone, "node n1 is removed; the cluster has 2 nodes. Two stop when either is lost: add a third soon\n"},
		{[]string{"remove", "n2"}, "", "leaving", two, two, exitUsage, "is node n2 itself: ask another one"},
		{[]string{"remove"}, "", "", two, two, exitUsage, "accepts 1 arg(s)"},
	}
	for _, tt := range tests {
		posted, looks := "", 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := `{"node":"` + tt.args[min(1, len(tt.args)-1)] + `","state":"` + tt.decided + `","members":3,"version":4}`
			if r.Method == http.MethodGet {
				if looks++; looks < 3 {
					answer = tt.before
				} else {
					answer = tt.now
				}
			} else {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				posted = r.URL.Path + " " + string(body)
			}
			if _, err := io.WriteString(w, answer); err != nil {
				t.Error(err)
			}
		}))
		args := append([]string{"cluster"}, tt.args...)
		if len(tt.args) > 1 {
			args = append(args, "--addr", s.URL, "--wait", "1s")
		}
		code, out, errs := run(t, args...)
		s.Close()
		if code != tt.code || !strings.Contains(out+errs, tt.want) || posted != tt.asked {
			t.Errorf("anabranch %v = %d: %s%s\nasked %s\nwant %d: %s", args, code, out, errs, posted, tt.code, tt.want)
		}
	}
}
