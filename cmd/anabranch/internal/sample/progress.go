package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// saveEvery is how many ticks may have to be sent again after a crash.
const saveEvery = 10

// progress is how far the shop has come.
type progress struct {
	Opened bool  `json:"opened"`
	Tick   int64 `json:"tick"`

	file  string
	saved int64
}

func loadProgress(file string) (*progress, error) {
	p := &progress{file: file}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(text, p)
	}
	if err != nil {
		return nil, fmt.Errorf("sample shop: %s: %w; remove it to open the shop anew", file, err)
	}
	p.saved = p.Tick
	return p, nil
}

// save writes the progress now and then. What is sent before its progress is
// saved is sent again after a crash, which changes nothing.
func (p *progress) save() error {
	if p.Tick-p.saved < saveEvery {
		return nil
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.file+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("sample shop: %w", err)
	}
	if err := os.Rename(p.file+".new", p.file); err != nil {
		return fmt.Errorf("sample shop: %w", err)
	}
	p.saved = p.Tick
	return nil
}
