package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
)

func newClusterMove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "move SHARD GROUP",
		Short: "Move a shard to another group",
		Long: `The shard's keys wait while its rows go over; nothing is lost, doubled or reordered.
When it takes too long, the move is called off and the shard stays where it was.
Which shards there are, and where, is in GET /v1/shards.`,
		Example: "  anabranch cluster move 17 1",
		Args:    cobra.ExactArgs(2),
	}
	var body struct {
		Shard int `json:"shard"`
		Group int `json:"group"`
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if body.Shard, err = strconv.Atoi(args[0]); err != nil || body.Shard < 0 {
			return usagef("SHARD is %q, not the number of a shard", args[0])
		}
		if body.Group, err = strconv.Atoi(args[1]); err != nil || body.Group < 0 {
			return usagef("GROUP is %q, not the number of a group", args[1])
		}
		request, err := json.Marshal(body)
		if err != nil {
			return err
		}
		answer, err := c.post(cmd.Context(), request, nil, "v1", "cluster", "move")
		if err != nil {
			return err
		}
		done, err := decode[struct {
			TookUS int64 `json:"took_us"`
		}](c, answer)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "shard %d belongs to group %d; moved in %.1f ms\n", body.Shard, body.Group, float64(done.TookUS)/1000)
			return err
		})
	}
	return cmd
}
