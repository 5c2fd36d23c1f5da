package launch

import (
	"fmt"

	"sbx/internal/text"
	"sbx/sandbox/internal/gateway"
)

// onNetwork takes a socket of the sandbox's network from the init.
func (ps *Process) onNetwork(kind byte, rights []byte) error {
	fd, err := receivedFD(rights)
	if err == nil {
		err = ps.gateway.Add(kind, fd)
	}
	if err != nil {
		return fmt.Errorf("receive a socket of the sandbox's network: %w", err)
	}
	return nil
}

// endGateway ends what leads out of the sandbox's network, once. It says why that had ended
// before, if it had.
func (ps *Process) endGateway() (notes []string) {
	if ps.gateway == nil {
		return nil
	}
	if err := ps.gateway.Close(); err != nil {
		notes = append(notes, err.Error())
	}
	ps.denied, ps.gateway = ps.gateway.Denied(), nil
	return notes
}

// deniedNotes say what a target that failed was not let through to.
func (ps *Process) deniedNotes(exit Exit) (notes []string) {
	if exit.Code() == 0 {
		return nil
	}
	const most = 5
	for i, d := range ps.denied {
		if i == most {
			notes = append(notes, fmt.Sprintf("no connection to %d hosts more", len(ps.denied)-most))
			break
		}
		notes = append(notes, deniedNote(d))
	}
	return notes
}

func deniedNote(d gateway.Denied) string {
	if d.Why != "" {
		return fmt.Sprintf("no connection to %s: %s", text.OneLine(d.Target()), text.OneLine(d.Why))
	}
	return fmt.Sprintf("no connection to %s: the policy does not name it; --host %s allows it", text.OneLine(d.Target()),
		text.OneLine(d.Flag()))
}
