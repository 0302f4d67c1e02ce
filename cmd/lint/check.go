package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/tools/go/packages"
)

// Limits of a room: a file above maxLines is asking to be split.
const maxLines = 400

// orderFree marks a map range whose order does not matter; it says why.
const orderFree = "order of the map does not matter"

// Check returns every fault of the module rooted at dir, sorted.
func Check(dir string) ([]string, error) {
	pkgs, err := packages.Load(&packages.Config{Dir: dir, Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports |
		packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo}, "./...")
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &checker{root: root}
	for _, p := range pkgs {
		for _, e := range p.Errors {
			return nil, fmt.Errorf("%s: %s", p.PkgPath, e.Msg)
		}
		c.imports(p)
		if path := name(p); matches(path, deterministic) && !matches(path, exempt) {
			c.determinism(p)
		}
	}
	if err := c.files(); err != nil {
		return nil, err
	}
	sort.Strings(c.faults)
	return c.faults, nil
}

type checker struct {
	root   string
	faults []string
}

func (c *checker) faultf(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// name is a package's path inside the module.
func name(p *packages.Package) string { return strings.TrimPrefix(p.PkgPath, module) }

// imports checks who imports whom.
func (c *checker) imports(p *packages.Package) {
	pkg := name(p)
	for path := range p.Imports {
		for lib, where := range homes {
			if (path == lib || strings.HasPrefix(path, lib+"/")) && !matches(pkg, where) {
				c.faultf("%s imports %s, whose home is %s", pkg, lib, strings.Join(where, ", "))
			}
		}
		own, ok := strings.CutPrefix(path, module)
		if !ok || own == "internal/planted" || own == "internal/faultdisk" || strings.HasPrefix(own, pkg+"/") {
			continue
		}
		for _, l := range layers {
			if matches(pkg, []string{l.pkg}) {
				if !matches(own, l.from) {
					c.faultf("%s imports %s, which its layer may not", pkg, own)
				}
				break
			}
		}
	}
}

// determinism checks what replicated code must not do.
func (c *checker) determinism(p *packages.Package) {
	for path := range p.Imports {
		for _, f := range forbidden {
			if path == f {
				c.faultf("%s imports %s: replicated code is deterministic", name(p), path)
			}
		}
	}
	for _, file := range p.Syntax {
		free := c.orderFreeLines(p.Fset, file)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				c.at(p.Fset, n, "starts a goroutine in replicated code")
			case *ast.SelectorExpr:
				if id, ok := n.X.(*ast.Ident); ok && id.Name == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "LoadLocation") {
					c.at(p.Fset, n, "reads time."+n.Sel.Name+" in replicated code")
				}
			case *ast.RangeStmt:
				if _, ok := p.TypesInfo.TypeOf(n.X).Underlying().(*types.Map); ok && !free[p.Fset.Position(n.Pos()).Line] {
					c.at(p.Fset, n, "ranges over a map in replicated code; say why its \""+orderFree+"\" or sort")
				}
			}
			return true
		})
	}
}

// orderFreeLines are the lines whose map range is explained, on the line itself
// or inside the body's first two lines.
func (c *checker) orderFreeLines(fset *token.FileSet, file *ast.File) map[int]bool {
	lines := map[int]bool{}
	for _, g := range file.Comments {
		if strings.Contains(g.Text(), orderFree) {
			line := fset.Position(g.Pos()).Line
			for l := line - 3; l <= line+1; l++ {
				lines[l] = true
			}
		}
	}
	return lines
}

func (c *checker) at(fset *token.FileSet, n ast.Node, what string) {
	pos := fset.Position(n.Pos())
	file, err := filepath.Rel(c.root, pos.Filename)
	if err != nil {
		file = pos.Filename
	}
	c.faultf("%s:%d %s", file, pos.Line, what)
}

// files checks every Go file's size and text.
func (c *checker) files() error {
	return filepath.WalkDir(c.root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_gen.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(c.root, path)
		if err != nil {
			return err
		}
		src := string(raw)
		test := strings.HasSuffix(path, "_test.go")
		if n := strings.Count(src, "\n"); n > maxLines && !test {
			c.faultf("%s has %d lines: above %d it wants to be two rooms", file, n, maxLines)
		}
		if test && strings.Contains(src, "time."+"Sleep(") {
			c.faultf("%s sleeps: wait for a condition", file)
		}
		for _, word := range []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:"} {
			if strings.Contains(src, word) {
				c.faultf("%s leaves a %s", file, word)
			}
		}
		return nil
	})
}
