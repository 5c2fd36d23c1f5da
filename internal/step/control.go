package step

// The launcher and the sandbox's init talk over one socket of packets
// (SOCK_SEQPACKET; see unix(7)). The first byte of a packet says what it is:
//
//	launcher                                        init
//	   |                                             |
//	   | -- MsgMapped ------------------------------>| go on: your ids are mapped (ns.Ranges)
//	   |<------------------------------ MsgTerminal--| and the master, by SCM_RIGHTS (terminal.Open)
//	   |                                             |
//	   |<------------------------------- MsgStarted--| the limit on time runs from now (process.Timeout)
//	   | -- MsgSignal, signal, ToTarget or ToGroup ->| forward this signal
//	   |<----------------------- MsgStopped, signal--| the target was stopped by this one
//	   |                                             |
//	   | -- hang-up -------------------------------->| the launcher is gone: end all
//	   |<---------------------------------- hang-up--| the init is ending, and all with it
//
// Neither waits for the other: what a full socket does not take is lost, as a
// signal is that is pending already. The target has no descriptor of it.
const (
	MsgMapped   = 'M'
	MsgTerminal = 'T'
	MsgStarted  = 'B'
	MsgSignal   = 'K'
	MsgStopped  = 'S'
)

// To whom MsgSignal goes: the target, or its whole process group, as the keys
// of a terminal do.
const (
	ToTarget = 't'
	ToGroup  = 'g'
)
