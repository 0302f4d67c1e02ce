//go:build faults

package faultdisk

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Orders are what a process that was started with ANABRANCH_FAULTS=FOLDER is told
// to do, by JSON in the file FOLDER.orders. The folder is put on a disk. Orders
// are looked for at each access and each look at the clock.
type Orders struct {
	// CutPower ends the process with its disk as a loss of power leaves it; the
	// next one finds itself on a machine that has been started again.
	CutPower Loss `json:"cut_power,omitempty"`
	// SlowSync is how many milliseconds each sync takes of files whose path holds Of.
	SlowSync int    `json:"slow_sync_ms,omitempty"`
	Of       string `json:"of,omitempty"`
	// FailSync has syncs of files fail whose path holds it.
	FailSync string `json:"fail_sync,omitempty"`
	// ClockStep is by how many seconds the clock was set forward.
	ClockStep int `json:"clock_step_s,omitempty"`
}

// told is what the process was told last.
type told struct {
	mu     sync.Mutex // guards what follows
	once   bool
	folder string
	disk   *Disk
	read   time.Time
	orders Orders
}

var control told

// obey reads the orders if they have changed.
func obey() {
	c := &control
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.once {
		c.once = true
		if c.folder = os.Getenv("ANABRANCH_FAULTS"); c.folder != "" {
			c.attach()
		}
	}
	if c.disk == nil {
		return
	}
	info, err := os.Stat(c.folder + ".orders")
	if err != nil || info.ModTime().Equal(c.read) {
		return
	}
	c.read = info.ModTime()
	b, err := os.ReadFile(c.folder + ".orders")
	c.orders = Orders{}
	if err = errors.Join(err, json.Unmarshal(b, &c.orders)); err != nil {
		panic(fmt.Sprintf("faultdisk: orders: %v", err))
	}
	if c.orders.CutPower != "" {
		c.cut()
	}
}

// attach puts the folder on a disk.
func (c *told) attach() {
	err := os.MkdirAll(c.folder, 0o755)
	if err == nil {
		c.disk, err = Attach(c.folder)
	}
	if err != nil {
		panic(fmt.Sprintf("faultdisk: %v", err))
	}
	c.disk.Before = func(op Op, path string) error {
		if o := current(); op == OpSync && o.FailSync != "" && strings.Contains(path, o.FailSync) {
			return syscall.EIO
		}
		return nil
	}
	c.disk.slow = func(op Op, path string) time.Duration {
		if o := current(); op == OpSync && strings.Contains(path, o.Of) {
			return time.Duration(o.SlowSync) * time.Millisecond
		}
		return 0
	}
}

func current() Orders {
	control.mu.Lock()
	defer control.mu.Unlock()
	return control.orders
}

// cut ends the process as a loss of power does.
func (c *told) cut() {
	boot := fmt.Sprint(c.read.UnixNano())
	err := errors.Join(c.disk.CutPower(c.orders.CutPower, uint64(c.read.UnixNano())),
		os.WriteFile(c.folder+".boot", []byte(boot), 0o644), os.Remove(c.folder+".orders"))
	if err != nil {
		panic(fmt.Sprintf("faultdisk: cut power: %v", err))
	}
	os.Exit(137) // as after SIGKILL
}

// ClockStep is by how much the wall clock was set forward.
func ClockStep() time.Duration {
	obey()
	return time.Duration(current().ClockStep) * time.Second
}

// BootID is the boot id of a disk's machine, given the true one.
func BootID(id string) string {
	if folder := os.Getenv("ANABRANCH_FAULTS"); folder != "" {
		if b, err := os.ReadFile(folder + ".boot"); err == nil {
			return string(b)
		}
	}
	return id
}
