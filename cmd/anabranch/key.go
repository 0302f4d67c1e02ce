package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"anabranch.dev/connectors/wire"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Make the key that turns people into pseudonyms",
		Example: "  anabranch key create people.key",
	}
	cmd.AddCommand(newKeyCreate())
	return cmd
}

func newKeyCreate() *cobra.Command {
	return &cobra.Command{
		Use:   "create FILE",
		Short: "Make a new pseudonym key",
		Long: `Writes a new random key to a new file that only its owner may read. Every node of a
cluster needs the same: copy it to each, name it as privacy.pseudonym_key_file, and keep
it like a password. Who loses it can't recognise the people in the state any more.`,
		Example: "  anabranch key create people.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := wire.CreateKey(args[0])
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s is there already; name a new file", args[0])
			}
			if err != nil {
				return err
			}
			cmd.Printf("%s: a new key with the fingerprint %s\n", args[0], key.Fingerprint())
			return nil
		},
	}
}
