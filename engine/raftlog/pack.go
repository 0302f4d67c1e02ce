package raftlog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"

	"anabranch.dev/internal/faultdisk"
)

// A packed snapshot is the length of a JSON list of files (8 bytes, little
// endian), the list, and the files' bytes one after the other. Its size is
// known beforehand, which Raft needs to tell a cut stream from a whole one.

// maxFileList bounds what a foreign stream may ask us to hold in memory.
const maxFileList = 64 << 20

func packedHeader(files []snapshotFile) ([]byte, error) {
	list, err := json.Marshal(files)
	if err != nil {
		return nil, err
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(list))), list...), nil
}

func packedSize(files []snapshotFile) (int64, error) {
	header, err := packedHeader(files)
	size := int64(len(header))
	for _, f := range files {
		size += f.Size
	}
	return size, err
}

// packer reads a checkpoint as one stream.
type packer struct {
	dir     string
	files   []snapshotFile
	release func() error

	at     io.Reader // what is being read
	file   *faultdisk.File
	header bool // the list has been handed out
	closed bool
}

func newPacker(dir string, files []snapshotFile, release func() error) *packer {
	return &packer{dir: dir, files: files, release: release}
}

// Read implements io.Reader.
func (p *packer) Read(b []byte) (int, error) {
	for {
		if p.at != nil {
			n, err := p.at.Read(b)
			if n > 0 || (err != nil && !errors.Is(err, io.EOF)) {
				return n, err
			}
		}
		if err := p.next(); err != nil {
			return 0, err
		}
	}
}

// next goes on to the next part, io.EOF after the last.
func (p *packer) next() error {
	if !p.header {
		b, err := packedHeader(p.files)
		if err != nil {
			return err
		}
		p.header, p.at = true, bytes.NewReader(b)
		return nil
	}
	if err := p.closeFile(); err != nil {
		return err
	}
	if len(p.files) == 0 {
		return io.EOF
	}
	f, err := faultdisk.Open(filepath.Join(p.dir, p.files[0].Name))
	if err != nil {
		return err
	}
	p.file, p.at = f, io.LimitReader(f, p.files[0].Size)
	p.files = p.files[1:]
	return nil
}

func (p *packer) closeFile() error {
	if p.file == nil {
		return nil
	}
	f := p.file
	p.file, p.at = nil, nil
	return f.Close()
}

// Close implements io.Closer.
func (p *packer) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(p.closeFile(), p.release())
}

// Unpack writes a packed snapshot's files, synced, into dir, which must not
// exist.
func Unpack(r io.Reader, dir string) error {
	if err := faultdisk.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("unpack snapshot: %w", err)
	}
	var size [8]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return fmt.Errorf("unpack snapshot: %w", err)
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxFileList {
		return fmt.Errorf("%w: list of %d bytes in a snapshot", ErrCorrupt, n)
	}
	list := make([]byte, n)
	if _, err := io.ReadFull(r, list); err != nil {
		return fmt.Errorf("unpack snapshot: %w", err)
	}
	var files []snapshotFile
	if err := json.Unmarshal(list, &files); err != nil {
		return fmt.Errorf("%w: list of a snapshot: %w", ErrCorrupt, err)
	}
	for _, f := range files {
		if err := unpackFile(r, dir, f); err != nil {
			return fmt.Errorf("unpack snapshot file %s: %w", f.Name, err)
		}
	}
	return SyncDir(dir)
}

func unpackFile(r io.Reader, dir string, f snapshotFile) error {
	if f.Name == "" || f.Name != filepath.Base(f.Name) || !filepath.IsLocal(f.Name) || f.Size < 0 {
		return fmt.Errorf("%w: not a file name", ErrCorrupt)
	}
	w, err := faultdisk.OpenFile(filepath.Join(dir, f.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	h := xxh3.New()
	_, err = io.CopyN(io.MultiWriter(w, h), r, f.Size)
	if err == nil && f.Sum != 0 && f.Sum != h.Sum64() {
		err = fmt.Errorf("%w: checksum does not match", ErrCorrupt)
	}
	if err == nil {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}
