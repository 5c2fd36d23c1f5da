// Package capability has the names of capabilities for those who read and
// write them as text: policies, container profiles, units. See
// capabilities(7).
package capability

import "strings"

// Names are those of Linux 6.18 without "cap_", in the order of their numbers.
func Names() []string {
	return strings.Fields("chown dac_override dac_read_search fowner fsetid kill setgid setuid " +
		"setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner " +
		"sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource " +
		"sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin " +
		"syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore")
}

// Upper are the same names as container runtimes and systemd have them:
// CAP_CHOWN, ...
func Upper() []string {
	names := Names()
	for i, n := range names {
		names[i] = "CAP_" + strings.ToUpper(n)
	}
	return names
}
