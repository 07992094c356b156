// A forwarder on miekg/dns built the way Cilium's DNS proxy is: a goroutine for each query, the client's address looked up for its
// rules, the name matched by one regular expression of all its patterns, the question sent on by a connection that
// all open queries of one client address and port share, and the answer unpacked and packed again. It has no policy
// distribution, no cache of names and no log, so it does less than what it stands for.
//
// Options: --listen ADDR:PORT --upstream ADDR:PORT --patterns FILE (one a line) --client ADDR (repeatable).
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	exchangeTimeout = 2 * time.Second
	receiveBuffer   = 4 << 20
)

// An open question: who waits for the answer, and under which ID it was asked.
type waiting struct {
	reply chan *dns.Msg
	id    uint16
}

// One connection to the upstream, shared by the open queries of one client address and port.
type sharedConn struct {
	conn *dns.Conn
	// Open queries; the connection is closed when there are none. Guarded by the pool.
	users int

	mutex sync.Mutex
	open  map[uint16]waiting
}

type pool struct {
	upstream string
	mutex    sync.Mutex
	conns    map[string]*sharedConn
}

func (p *pool) acquire(network, client string) (*sharedConn, error) {
	key := network + "|" + client
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if shared, ok := p.conns[key]; ok {
		shared.users++
		return shared, nil
	}
	dialer := dns.Client{Net: network, Timeout: exchangeTimeout}
	conn, err := dialer.Dial(p.upstream)
	if err != nil {
		return nil, err
	}
	shared := &sharedConn{conn: conn, users: 1, open: map[uint16]waiting{}}
	p.conns[key] = shared
	go shared.receive()
	return shared, nil
}

func (p *pool) release(network, client string, shared *sharedConn) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	shared.users--
	if shared.users > 0 {
		return
	}
	delete(p.conns, network+"|"+client)
	shared.conn.Close()
}

func (s *sharedConn) receive() {
	for {
		answer, err := s.conn.ReadMsg()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil && answer == nil {
			// The waiting time out; a broken connection gives errors until its last user closes it.
			time.Sleep(time.Millisecond)
			continue
		}
		s.mutex.Lock()
		one, ok := s.open[answer.Id]
		delete(s.open, answer.Id)
		s.mutex.Unlock()
		if ok {
			one.reply <- answer
		}
	}
}

func (s *sharedConn) exchange(query *dns.Msg) (*dns.Msg, error) {
	one := waiting{reply: make(chan *dns.Msg, 1), id: query.Id}
	s.mutex.Lock()
	for _, taken := s.open[one.id]; taken; _, taken = s.open[one.id] {
		one.id = uint16(rand.Uint32())
	}
	s.open[one.id] = one
	asked := *query
	asked.Id = one.id
	err := s.conn.WriteMsg(&asked)
	s.mutex.Unlock()
	if err == nil {
		timer := time.NewTimer(exchangeTimeout)
		defer timer.Stop()
		select {
		case answer := <-one.reply:
			return answer, nil
		case <-timer.C:
			err = errors.New("no answer in time")
		}
	}
	s.mutex.Lock()
	delete(s.open, one.id)
	s.mutex.Unlock()
	return nil, err
}

type proxy struct {
	pool *pool
	// By client address; what has no rules is refused.
	rules map[string]*regexp.Regexp
}

func (p *proxy) ServeDNS(writer dns.ResponseWriter, query *dns.Msg) {
	client := writer.RemoteAddr().String()
	host, _, err := net.SplitHostPort(client)
	if err != nil || len(query.Question) != 1 {
		p.answerCode(writer, query, dns.RcodeFormatError)
		return
	}
	name := strings.ToLower(dns.Fqdn(query.Question[0].Name))
	allowed, known := p.rules[host]
	if !known || !allowed.MatchString(name) {
		p.answerCode(writer, query, dns.RcodeRefused)
		return
	}
	network := writer.RemoteAddr().Network()
	shared, err := p.pool.acquire(network, client)
	if err != nil {
		p.answerCode(writer, query, dns.RcodeServerFailure)
		return
	}
	defer p.pool.release(network, client, shared)
	answer, err := shared.exchange(query)
	if err != nil {
		p.answerCode(writer, query, dns.RcodeServerFailure)
		return
	}
	// What Cilium takes from each answer for its cache of names.
	for _, record := range answer.Answer {
		switch record := record.(type) {
		case *dns.A:
			_ = record.A.String()
		case *dns.AAAA:
			_ = record.AAAA.String()
		}
	}
	answer.Id = query.Id
	answer.Compress = true
	_ = writer.WriteMsg(answer)
}

func (p *proxy) answerCode(writer dns.ResponseWriter, query *dns.Msg, code int) {
	answer := new(dns.Msg)
	answer.SetRcode(query, code)
	_ = writer.WriteMsg(answer)
}

type list []string

func (l *list) String() string         { return strings.Join(*l, ",") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

// `*` stands for any characters of one label.
func compile(path string) (*regexp.Regexp, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var parts []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		pattern := strings.ReplaceAll(dns.Fqdn(strings.ToLower(lines.Text())), ".", "[.]")
		parts = append(parts, strings.ReplaceAll(pattern, "*", "[-a-zA-Z0-9_]*"))
	}
	return regexp.Compile("^(?:" + strings.Join(parts, "|") + ")$")
}

func main() {
	listen := flag.String("listen", "", "ADDR:PORT")
	upstream := flag.String("upstream", "", "ADDR:PORT")
	patterns := flag.String("patterns", "", "file of patterns, one a line")
	var clients list
	flag.Var(&clients, "client", "address of a client that has the rules")
	flag.Parse()

	allowed, err := compile(*patterns)
	if err != nil {
		log.Fatal(err)
	}
	served := &proxy{pool: &pool{upstream: *upstream, conns: map[string]*sharedConn{}}, rules: map[string]*regexp.Regexp{}}
	for _, client := range clients {
		served.rules[client] = allowed
	}
	socket, err := net.ListenPacket("udp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	_ = socket.(*net.UDPConn).SetReadBuffer(receiveBuffer)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	tcp := &dns.Server{Listener: listener, Handler: served, MaxTCPQueries: -1}
	udp := &dns.Server{PacketConn: socket, Handler: served}
	udp.NotifyStartedFunc = func() { fmt.Println("ready") }
	go func() { log.Fatal(tcp.ActivateAndServe()) }()
	log.Fatal(udp.ActivateAndServe())
}
