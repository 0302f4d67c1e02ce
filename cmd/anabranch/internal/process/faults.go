package process

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Faulty is the program with disks and clocks that can be made to fail.
type Faulty struct{ program string }

// BuildFaulty builds it.
func BuildFaulty(t testing.TB) Faulty {
	t.Helper()
	f := Faulty{filepath.Join(t.TempDir(), "anabranch")}
	if out, err := exec.Command("go", "build", "-tags", "faults", "-o", f.program, "anabranch.dev/cmd/anabranch").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return f
}

// StartServe is [StartServe] with a folder on a disk that takes orders from
// FOLDER.orders.
func (f Faulty) StartServe(t testing.TB, folder, config string) *Node {
	t.Helper()
	p := start(t, f.program, []string{"ANABRANCH_FAULTS=" + folder}, "serve", "--config", config)
	return newNode(p, p.Wait(`"msg":"serving".*"http":"([^"]+)"`))
}
