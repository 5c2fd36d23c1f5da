package systemd

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/policy"
)

// isLifecycle reports whether a setting is about when, how often and what to
// run, about its output or its share of the machine, not about what it may do.
// The names are whole: a prefix would swallow LogsDirectory= and ExecPaths=.
func isLifecycle(key string) bool {
	if strings.HasPrefix(key, "X-") || strings.HasPrefix(key, "Listen") || strings.HasSuffix(key, "Accounting") {
		return true
	}
	return slices.Contains(strings.Fields(`Type ExitType RemainAfterExit GuessMainPID PIDFile BusName
		ExecStart ExecStartPre ExecStartPost ExecCondition ExecReload ExecStop ExecStopPre ExecStopPost
		Restart RestartSec RestartSteps RestartMaxDelaySec RestartMode RestartKillSignal RestartPreventExitStatus
		RestartForceExitStatus
		SuccessExitStatus SuccessAction FailureAction RebootArgument SuccessActionExitStatus FailureActionExitStatus
		TimeoutSec TimeoutStartSec TimeoutStopSec TimeoutAbortSec TimeoutIdleSec TimeoutCleanSec
		TimeoutStartFailureMode TimeoutStopFailureMode RuntimeRandomizedExtraSec
		StartLimitInterval StartLimitIntervalSec StartLimitBurst StartLimitAction SysVStartPriority
		WatchdogSec WatchdogSignal NotifyAccess Sockets FileDescriptorStoreMax FileDescriptorStorePreserve FileDescriptorName
		USBFunctionDescriptors USBFunctionStrings OOMPolicy OOMScoreAdjust ReloadSignal PermissionsStartOnly
		RootDirectoryStartOnly
		NonBlocking KillMode KillSignal SendSIGHUP SendSIGKILL FinalKillSignal IgnoreSIGPIPE
		StandardInput StandardOutput StandardError StandardInputText StandardInputData
		LogLevelMax LogExtraFields LogRateLimitIntervalSec LogRateLimitBurst LogFilterPatterns LogNamespace
		SyslogIdentifier SyslogFacility SyslogLevel SyslogLevelPrefix UtmpIdentifier UtmpMode
		TTYPath TTYReset TTYVHangup TTYVTDisallocate TTYRows TTYColumns
		Nice IOSchedulingClass IOSchedulingPriority CPUSchedulingPolicy CPUSchedulingPriority CPUSchedulingResetOnFork
		TimerSlackNSec CoredumpFilter Slice Delegate DelegateSubgroup DisableControllers
		CPUWeight StartupCPUWeight CPUShares StartupCPUShares IOWeight StartupIOWeight IODeviceWeight BlockIOWeight
		StartupBlockIOWeight
		MemoryMin MemoryLow DefaultMemoryMin DefaultMemoryLow StartupMemoryLow
		ManagedOOMSwap ManagedOOMMemoryPressure ManagedOOMMemoryPressureLimit ManagedOOMPreference
		Accept Backlog Service MaxConnections MaxConnectionsPerSource SocketUser SocketGroup SocketMode DirectoryMode Writable
		BindIPv6Only ReusePort KeepAlive KeepAliveTimeSec KeepAliveIntervalSec KeepAliveProbes NoDelay Priority DeferAcceptSec
		ReceiveBuffer SendBuffer IPTOS IPTTL Mark PipeSize MessageQueueMaxMessages MessageQueueMessageSize FreeBind
		Transparent
		Broadcast PassCredentials PassSecurity PassPacketInfo Timestamping TCPCongestion RemoveOnStop Symlinks FlushPending
		TriggerLimitIntervalSec TriggerLimitBurst PollLimitIntervalSec PollLimitBurst
		What Where Options SloppyOptions LazyUnmount ReadWriteOnly ForceUnmount`), key)
}

// take reads one setting. An error is about its value.
func (m *importer) take(s setting) error {
	m.said[s.key] = s
	switch s.key {
	case "SystemCallFilter":
		return m.callFilter(s)
	case "SystemCallErrorNumber":
		return m.errorNumber(s)
	case "SystemCallArchitectures":
		return m.architectures(s.value)
	case "RestrictAddressFamilies":
		return m.addressFamilies(s.value)
	case "RestrictNamespaces":
		return m.restrictNamespaces(s)
	case "CapabilityBoundingSet":
		return assignCapabilities(&m.bounding, s.value, true)
	case "AmbientCapabilities":
		return assignCapabilities(&m.ambient, s.value, false)
	case "User":
		m.user = s.value != "" && s.value != "root" && s.value != "0"
		if s.value != "" {
			m.lose("a policy has no word for it: sbx runs as its caller, so start it as this user")
		}
		return nil
	case "Group", "SupplementaryGroups":
		if s.value != "" {
			m.lose("a policy has no word for it: sbx runs as its caller, without supplementary groups")
		}
		return nil
	case "Environment", "PassEnvironment", "UnsetEnvironment":
		return m.variables(s)
	case "RootDirectory":
		return m.onePath(s, &m.root)
	case "RootImage":
		if m.image = s; s.value == "" {
			m.image = setting{}
		}
		return nil
	case "WorkingDirectory":
		if s.value != "" {
			m.lose("a policy has no word for it: start sbx with --dir %s",
				strings.TrimPrefix(strings.Replace(s.value, "~", "HOME", 1), "-"))
		}
		return nil
	case "UMask":
		m.lose("a policy has no word for it: start sbx under that umask")
		return nil
	case "NetworkNamespacePath", "IPCNamespacePath":
		return m.namespacePath(s)
	case "AppArmorProfile", "SELinuxContext":
		return m.label(s)
	case "IPAddressDeny", "IPAddressAllow", "SocketBindDeny", "SocketBindAllow", "RestrictNetworkInterfaces":
		return m.networkList(s)
	}
	for _, take := range []func(setting) (bool, error){m.limit, m.pathSetting, m.mode, m.toggle} {
		if known, err := take(s); known || err != nil {
			return err
		}
	}
	m.lose("a policy has no word for it")
	return nil
}

// toggle takes the settings that are yes or no. systemd passes over an empty
// value.
func (m *importer) toggle(s setting) (known bool, err error) {
	switch s.key {
	case "NoNewPrivileges", "MountAPIVFS", "PrivateDevices", "ProtectKernelTunables", "ProtectControlGroups", "RemoveIPC",
		"PrivateNetwork", "PrivateUsers", "PrivateIPC", "PrivatePIDs", "PrivateMounts", "PrivateTmp", "DynamicUser",
		"MemoryDenyWriteExecute", "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID", "ProtectKernelModules",
		"ProtectKernelLogs", "ProtectClock", "ProtectHostname":
	default:
		return false, nil
	}
	if s.value == "" {
		m.lose("systemd passes over an empty value here, and so does the policy")
		return true, nil
	}
	on, err := truth(m.strongest(s))
	if err != nil {
		return true, err
	}
	m.on[s.key] = on
	switch {
	case s.key == "DynamicUser" && on:
		m.lose("a policy has no word for it: sbx runs as its caller; what it implies of files and calls holds")
	case s.key == "NoNewPrivileges" && !on:
		m.lose("a policy always refuses new privileges")
	case s.key == "MountAPIVFS" && !on:
		m.lose("a sandbox always has its own /proc and /dev")
	}
	return true, nil
}

// strongest gives for the words that later releases of systemd have besides
// yes and no the one that means as much to a policy.
func (m *importer) strongest(s setting) string {
	word, rest, _ := strings.Cut(s.value, ":")
	for _, x := range []string{
		"PrivateTmp=disconnected", "PrivateUsers=self", "PrivateUsers=identity", "PrivateUsers=full", "PrivateUsers=managed",
		"ProtectControlGroups=strict", "ProtectControlGroups=private", "ProtectHostname=private",
	} {
		if s.key+"="+s.value == x {
			return "yes"
		}
	}
	if s.key == "ProtectHostname" && rest != "" && (word == "private" || word == "yes") {
		if err := policy.CheckValue("namespaces.hostname", rest); err == nil {
			m.p.Namespaces.Hostname = rest
			return "yes"
		}
	}
	return s.value
}

// mode takes the settings that have one of a few words for a value.
func (m *importer) mode(s setting) (known bool, err error) {
	allowed := map[string]string{
		"ProtectSystem": "yes no full strict", "ProtectHome": "yes no read-only tmpfs",
		"ProtectProc": "noaccess invisible ptraceable default", "ProcSubset": "all pid",
		"KeyringMode": "inherit private shared", "DevicePolicy": "auto closed strict",
		"RuntimeDirectoryPreserve": "yes no restart",
	}[s.key]
	if allowed == "" {
		return false, nil
	}
	v := s.value
	if v == "" {
		if s.key != "DevicePolicy" {
			m.lose("systemd passes over an empty value here, and so does the policy")
		}
		return true, nil
	}
	list := strings.Fields(allowed)
	if on, err := truth(v); err == nil && slices.Contains(list, "yes") {
		if v = "no"; on {
			v = "yes"
		}
	}
	if !slices.Contains(list, v) {
		return true, fmt.Errorf("%q is none of %s", s.value, strings.Join(list, ", "))
	}
	if s.key == "KeyringMode" && v == "shared" {
		m.lose("a policy refuses the kernel's keyrings")
	}
	m.modes[s.key] = v
	return true, nil
}

// pathSetting takes the settings that list paths, and the modes of directories.
func (m *importer) pathSetting(s setting) (known bool, err error) {
	switch s.key {
	case "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "BindPaths",
		"BindReadOnlyPaths",
		"TemporaryFileSystem", "StateDirectory", "CacheDirectory", "LogsDirectory", "RuntimeDirectory",
		"ConfigurationDirectory":
		return true, m.paths(s)
	case "StateDirectoryMode", "CacheDirectoryMode", "LogsDirectoryMode", "RuntimeDirectoryMode",
		"ConfigurationDirectoryMode":
		m.modes[s.key] = s.value
		return true, nil
	case "DeviceAllow":
		// Those that every sandbox has, and what only empties the list.
		device, _, _ := strings.Cut(s.value, " ")
		harmless := strings.Fields("/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty char-pts")
		if device != "" && !slices.Contains(harmless, device) {
			m.lose("a sandbox has a few harmless devices, and not this one")
		}
		return true, nil
	}
	return false, nil
}

// onePath takes a setting with one absolute path for a value.
func (m *importer) onePath(s setting, to *string) (err error) {
	*to = ""
	if s.value != "" {
		*to, err = m.absolute(s.value)
	}
	return err
}

// namespacePath takes the path of a namespace to join.
func (m *importer) namespacePath(s setting) error {
	at := ""
	if s.value != "" {
		var err error
		if at, err = m.expand(s.value); err != nil {
			return err
		}
		at = path.Clean(at)
		key := map[string]string{"NetworkNamespacePath": "namespaces.net", "IPCNamespacePath": "namespaces.ipc"}[s.key]
		if err := policy.CheckValue(key, at); err != nil || !path.IsAbs(at) {
			return fmt.Errorf("%q is no plain absolute path", s.value)
		}
	}
	m.modes[s.key] = at
	return nil
}

// label takes the label of a security module. "-" in front means "if there is
// the module", which a policy has no word for.
func (m *importer) label(s setting) error {
	key, to := "process.apparmor", &m.p.Process.AppArmor
	if s.key == "SELinuxContext" {
		key, to = "process.selinux", &m.p.Process.SELinux
	}
	value, optional := strings.CutPrefix(s.value, "-")
	value, err := m.expand(value)
	if err != nil {
		return err
	}
	if value != "" {
		if err := policy.CheckValue(key, value); err != nil {
			return err
		}
	}
	*to = value
	if optional && value != "" {
		m.lose("the policy insists on it: without the security module nothing starts")
	}
	return nil
}
