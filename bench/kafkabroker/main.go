// Command kafkabroker runs Apache Kafka on this machine until Ctrl-C, for trying
// the system on a real one and for measurements:
//
//	go run ./bench/kafkabroker --brokers 3 --data ./kafka-data --port 9092
//
// It needs Java 17 or newer and, the first time, Maven; see
// internal/apachekafka.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"anabranch.dev/internal/apachekafka"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kafkabroker:", err)
		os.Exit(1)
	}
}

func run() error {
	cfg := apachekafka.Config{JVM: apachekafka.ServerJVM}
	flag.IntVar(&cfg.Brokers, "brokers", 1, "1, or 3 with replication 3")
	flag.StringVar(&cfg.Dir, "data", "", "directory to keep everything in; without it all is gone at the end")
	flag.IntVar(&cfg.Port, "port", 9092, "port of the first broker, the others' follow; 0 takes free ones")
	flag.BoolVar(&cfg.Secure, "secure", false, "also listen with TLS and with SCRAM-SHA-512")
	fetch := flag.Bool("fetch", false, "only fetch what is needed, then end")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *fetch {
		dir, err := apachekafka.Library(ctx)
		if err == nil {
			fmt.Printf("Apache Kafka %s is in %s\n", apachekafka.Version, dir)
		}
		return err
	}
	c, err := apachekafka.Start(ctx, cfg)
	if err != nil {
		return err
	}
	show(c, &cfg)
	<-ctx.Done()
	stop() // a second Ctrl-C doesn't wait
	return c.Close()
}

func show(c *apachekafka.Cluster, cfg *apachekafka.Config) {
	fmt.Printf("Apache Kafka %s on %s, data in %s; Ctrl-C ends it\n", apachekafka.Version, strings.Join(c.Addrs(), ","), c.Dir())
	if !cfg.Secure {
		return
	}
	ca, cert, key := c.Certificates()
	fmt.Printf("mutual TLS    %s, CA %s, certificate %s, key %s\n", strings.Join(c.AddrsOf(apachekafka.MutualTLS), ","), ca, cert, key)
	fmt.Printf("SCRAM-SHA-512 %s, over TLS %s, user %s, password %s\n", strings.Join(c.AddrsOf(apachekafka.Scram), ","),
		strings.Join(c.AddrsOf(apachekafka.ScramTLS), ","), apachekafka.User, apachekafka.Password)
}
