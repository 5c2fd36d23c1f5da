package gateway

import (
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sbx/policy/network"
)

// answerer answers the target's DNS questions, by the rules alone: nothing is asked of
// anybody for that. Names that no rule is about do not exist.
type answerer struct {
	pool *pool
	ipv6 bool // whether lo has IPv6
	// hostname is the sandbox's own.
	hostname string
	// denied is told of names that no rule is about.
	denied func(name string)
}

const (
	// maxMessage is the longest message over UDP that anybody may send us, and that we send.
	maxMessage = 1232 // see RFC 9715
	// answerTTL is how many seconds an answer is good. The addresses do not change.
	answerTTL = 300
)

// reply answers one message, or gives nil where there is nothing to answer. What it gives
// is at most maxMessage bytes long.
func (a *answerer) reply(message []byte, now time.Time) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(message)
	if err != nil || head.Response {
		return nil // too short for a header, or from somebody who was asked
	}
	r := response{head: dnsmessage.Header{
		ID: head.ID, Response: true, OpCode: head.OpCode, RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
	}}
	if head.OpCode != 0 {
		r.head.RCode = dnsmessage.RCodeNotImplemented
		return r.pack()
	}
	if r.question, r.edns, err = question(&p); err != nil {
		r = response{head: r.head}
		r.head.RCode = dnsmessage.RCodeFormatError
		return r.pack()
	}
	r.asked = true
	r.head.RCode = a.answer(&r, now)
	return r.pack()
}

// question reads the one question of a message, and whether the asker knows EDNS.
func question(p *dnsmessage.Parser) (q dnsmessage.Question, edns bool, err error) {
	if q, err = p.Question(); err != nil {
		return q, false, err
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		return q, false, errQuestions
	}
	if err := p.SkipAllAnswers(); err != nil {
		return q, false, err
	}
	if err := p.SkipAllAuthorities(); err != nil {
		return q, false, err
	}
	for {
		h, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			return q, edns, nil
		}
		if err != nil {
			return q, false, err
		}
		edns = edns || h.Type == dnsmessage.TypeOPT
		if err := p.SkipAdditional(); err != nil {
			return q, false, err
		}
	}
}

type textError string

func (e textError) Error() string { return string(e) }

const errQuestions = textError("more than one question")

// answer adds what there is to say to the question.
func (a *answerer) answer(r *response, now time.Time) dnsmessage.RCode {
	q := r.question
	if q.Class != dnsmessage.ClassINET {
		return dnsmessage.RCodeRefused
	}
	const axfr, ixfr, any = 252, 251, 255
	switch q.Type {
	case axfr, ixfr:
		return dnsmessage.RCodeRefused
	case dnsmessage.TypePTR:
		return a.pointer(r)
	}
	name, err := network.Canonical(q.Name.String())
	if err != nil {
		return dnsmessage.RCodeNameError
	}
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	switch {
	case name == a.hostname || name == "localhost" || strings.HasSuffix(name, ".localhost"):
	case !a.pool.set.Names(name):
		a.denied(name)
		return dnsmessage.RCodeNameError
	default:
		var full bool
		if v4, full = a.pool.lookup(name, now); full {
			return dnsmessage.RCodeServerFailure
		}
		v6 = inIPv6(v4)
	}
	// All else that a name may have (HTTPS and SVCB, by which programs would go to
	// UDP; MX, TXT, SRV) is empty.
	if q.Type == dnsmessage.TypeA || q.Type == any {
		r.answers = append(r.answers, &dnsmessage.AResource{A: v4.As4()})
	}
	if (q.Type == dnsmessage.TypeAAAA || q.Type == any) && a.ipv6 {
		r.answers = append(r.answers, &dnsmessage.AAAAResource{AAAA: v6.As16()})
	}
	return dnsmessage.RCodeSuccess
}

// pointer answers which name has an address.
func (a *answerer) pointer(r *response) dnsmessage.RCode {
	addr, ok := reverse(strings.ToLower(r.question.Name.String()))
	if !ok {
		return dnsmessage.RCodeNameError
	}
	name, ok := a.pool.name(addr)
	if addr.IsLoopback() {
		name, ok = "localhost", true
	}
	if !ok {
		return dnsmessage.RCodeNameError
	}
	target, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return dnsmessage.RCodeNameError
	}
	r.answers = append(r.answers, &dnsmessage.PTRResource{PTR: target})
	return dnsmessage.RCodeSuccess
}

// reverse is the address that a name below in-addr.arpa or ip6.arpa is about.
func reverse(name string) (netip.Addr, bool) {
	if digits, ok := strings.CutSuffix(name, ".ip6.arpa."); ok {
		if len(digits) != 63 {
			return netip.Addr{}, false
		}
		var b [16]byte
		for i := range 32 {
			n := strings.IndexByte("0123456789abcdef", digits[62-2*i])
			if n < 0 || i > 0 && digits[63-2*i] != '.' {
				return netip.Addr{}, false
			}
			b[i/2] = b[i/2]<<4 | byte(n)
		}
		return netip.AddrFrom16(b), true
	}
	numbers, ok := strings.CutSuffix(name, ".in-addr.arpa.")
	part := strings.Split(numbers, ".")
	if !ok || len(part) != 4 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(part[3] + "." + part[2] + "." + part[1] + "." + part[0])
	return a, err == nil
}

// response is what is answered.
type response struct {
	head     dnsmessage.Header
	question dnsmessage.Question
	asked    bool // there is a question
	edns     bool
	answers  []dnsmessage.ResourceBody
}

// pack writes the message. It is nil where that does not go, as with no name that was read
// from a message.
func (r *response) pack() []byte {
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), r.head)
	b.EnableCompression()
	err := b.StartQuestions()
	if err == nil && r.asked {
		err = b.Question(r.question)
	}
	if err == nil {
		err = b.StartAnswers()
	}
	head := dnsmessage.ResourceHeader{Name: r.question.Name, Class: dnsmessage.ClassINET, TTL: answerTTL}
	for _, x := range r.answers {
		if err != nil {
			break
		}
		switch x := x.(type) {
		case *dnsmessage.AResource:
			err = b.AResource(head, *x)
		case *dnsmessage.AAAAResource:
			err = b.AAAAResource(head, *x)
		case *dnsmessage.PTRResource:
			err = b.PTRResource(head, *x)
		}
	}
	if err == nil && r.edns {
		if err = b.StartAdditionals(); err == nil {
			var opt dnsmessage.ResourceHeader
			if err = opt.SetEDNS0(maxMessage, r.head.RCode, false); err == nil {
				err = b.OPTResource(opt, dnsmessage.OPTResource{})
			}
		}
	}
	if err != nil {
		return nil
	}
	out, err := b.Finish()
	if err != nil || len(out) > maxMessage {
		return nil
	}
	return out
}
