package step

// The launcher and the sandbox's init talk over one socket of packets
// (SOCK_SEQPACKET; see unix(7)). The first byte of a packet says what it is:
//
//	launcher                                        init
//	   |                                             |
//	   | -- MsgMapped ------------------------------>| go on: your ids are mapped (ns.Ranges, ns.Hold)
//	   |<------------------------------ MsgTerminal--| and the master, by SCM_RIGHTS (terminal.Open)
//	   |<------------------------------ MsgListener--| and a filter's descriptor, from the target (process.Listen)
//	   |<-------------------------------- MsgNotify--| and a notify socket, by SCM_RIGHTS (ns.NotifySocket)
//	   |<------------------------ MsgStream, number--| and a file, by SCM_RIGHTS (ns.Reopen)
//	   |<------------------------ MsgNetwork, kind --| and a socket of the sandbox's network (gateway.Catch)
//	   |<------------------------------ MsgListener--| and the listener, by SCM_RIGHTS (process.HandOver)
//	   |<-------------------------------- MsgTarget--| from the target, whose pid comes by SCM_CREDENTIALS
//	   |                                             |
//	   |<------------------------------- MsgStarted--| the target runs, and its limit on time (process.Timeout)
//	   | -- MsgSignal, signal, ToTarget or ToGroup ->| forward this signal
//	   | -- MsgSocket ------------------------------>| make a Unix socket in your network
//	   |<---------------- MsgNetwork, KindSocket --- | and here it is, by SCM_RIGHTS
//	   | -- MsgRest -------------------------------->| give back what you do not need to wait
//	   |<----------------------- MsgStopped, signal--| the target was stopped by this one
//	   |                                             |
//	   | -- hang-up -------------------------------->| the launcher has died: kill all processes
//	   |<---------------------------------- hang-up--| the init is ending, and all processes with it
//
// Neither side waits for the other. A message that a full socket does not take is lost,
// as a signal is that is already pending. The target has no descriptor of the socket
// at its exec.
//
// The janitor has another such socket. On it the sandbox's first process sends MsgInit,
// and its own pidfd by SCM_RIGHTS (process.AnnounceInit). Everything else, and the
// hang-up, means that the end has come.
const (
	MsgInit     = 'I'
	MsgMapped   = 'M'
	MsgStream   = 'F'
	MsgTerminal = 'T'
	MsgListener = 'L'
	MsgNetwork  = 'N'
	MsgStarted  = 'B'
	MsgSignal   = 'K'
	MsgSocket   = 'U'
	MsgRest     = 'R'
	MsgStopped  = 'S'
	MsgTarget   = 'P'
	MsgNotify   = 'D'
)

// KindSocket is the kind of socket in MsgNetwork that answers MsgSocket.
const KindSocket = 'x'

// Where MsgSignal goes: to the target, or to its whole process group, as the signals of a
// terminal's keys do.
const (
	ToTarget = 't'
	ToGroup  = 'g'
)
