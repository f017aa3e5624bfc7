package app

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections limits the number of connections. Beyond the limit the longest idle one is closed, which HTTP allows at any
// time: clients that only hold connections open can neither lock others out nor exhaust memory.
type connections struct {
	limit int
	mu    sync.Mutex
	idle  *list.List                 // the longest idle connection is first
	all   map[net.Conn]*list.Element // nil for those that are in use
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, idle: list.New(), all: map[net.Conn]*list.Element{}}
}

// note is the [http.Server]'s ConnState.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.all[conn]; element != nil {
		c.idle.Remove(element)
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.all[conn] = c.idle.PushBack(conn)
		if len(c.all) > c.limit {
			c.close(c.idle.Front().Value.(net.Conn))
		}
	case http.StateActive:
		c.all[conn] = nil
	case http.StateHijacked, http.StateClosed:
		delete(c.all, conn)
	}
}

// close closes a connection without TLS's close_notify, which could block.
func (c *connections) close(conn net.Conn) {
	c.idle.Remove(c.all[conn])
	delete(c.all, conn)
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close() // it may be closed already
}

// count returns the number of connections.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}
