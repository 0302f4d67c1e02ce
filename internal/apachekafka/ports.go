package apachekafka

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// host is the only interface that is listened on.
const host = "127.0.0.1"

// Ports are taken from below those that a system gives to clients, so that a
// killed broker finds its own free when it comes back.
const firstPort, lastPort = 20000, 32000

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// freePorts finds ports that are free now. Somebody else may take one before
// the broker does: then the start is tried again with others.
func freePorts(n int) (ports []int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	begin := firstPort + rand.IntN(lastPort-firstPort)
	for i := 0; len(ports) < n; i++ {
		if i > lastPort-firstPort {
			return nil, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
		}
		port := firstPort + (begin+i-firstPort)%(lastPort-firstPort)
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			continue
		}
		held = append(held, l)
		ports = append(ports, port)
	}
	return ports, nil
}

// assignPorts gives every broker a port for each listener.
func (c *Cluster) assignPorts() error {
	listeners := append(c.cfg.listeners(), controller)
	ports, err := freePorts(len(listeners) * len(c.brokers))
	if err != nil {
		return err
	}
	for i, b := range c.brokers {
		b.ports = map[Listener]int{}
		for j, l := range listeners {
			b.ports[l] = ports[i*len(listeners)+j]
		}
		if c.cfg.Port == 0 {
			continue
		}
		b.ports[Plain] = c.cfg.Port + i
		l, err := net.Listen("tcp", address(b.ports[Plain]))
		if err != nil {
			return err // it names the address
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}
