package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"anabranch.dev/engine/core"
)

// version of the program. Releases set it with -ldflags "-X main.version=v1.2.3".
var version = "dev"

type versionInfo struct {
	Version      string `json:"version"`
	Commit       string `json:"commit"`
	Go           string `json:"go"`
	FeatureLevel int    `json:"feature_level"`
}

func buildInfo() versionInfo {
	v := versionInfo{Version: version, Commit: "unknown", Go: runtime.Version(), FeatureLevel: core.Level}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			v.Commit += " with changes"
		}
	}
	return v
}

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show version, commit, Go and feature level",
		Example: "  anabranch version -o json",
		Args:    cobra.NoArgs,
	}
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := buildInfo()
		return out.showValue(cmd.OutOrStdout(), v, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "anabranch %s\ncommit %s\n%s\nfeature level %d\n", v.Version, v.Commit, v.Go, v.FeatureLevel)
			return err
		})
	}
	return cmd
}
