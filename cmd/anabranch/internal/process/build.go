package process

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Build is a program that was built in another way than the one under test.
type Build string

// NewBuild builds the program with build tags.
func NewBuild(t testing.TB, tags string) Build {
	t.Helper()
	path := filepath.Join(t.TempDir(), "anabranch")
	if out, err := exec.Command("go", "build", "-tags", tags, "-o", path, "anabranch.dev/cmd/anabranch").CombinedOutput(); err != nil {
		t.Fatalf("build with tags %s: %v\n%s", tags, err, out)
	}
	return Build(path)
}

// Start is [Start] of this build.
func (b Build) Start(t testing.TB, args ...string) *Process {
	t.Helper()
	return startProgram(t, string(b), nil, args...)
}

// StartServe is [StartServe] of this build.
func (b Build) StartServe(t testing.TB, config string, args ...string) *Node {
	t.Helper()
	p := b.Start(t, append([]string{"serve", "--config", config}, args...)...)
	return newNode(p, p.Wait(serving))
}

// StartFaulty is [Build.StartServe] of a build with the tag faults: the folder is
// on a disk that takes orders from FOLDER.orders.
func (b Build) StartFaulty(t testing.TB, folder, config string) *Node {
	t.Helper()
	p := startProgram(t, string(b), []string{"ANABRANCH_FAULTS=" + folder}, "serve", "--config", config)
	return newNode(p, p.Wait(serving))
}
