package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/tpm"
)

const (
	tpmDir = "sys/class/tpm/tpm0"
	tpmDev = "dev/tpmrm0"
	tpmLog = "sys/kernel/security/tpm0/binary_bios_measurements"
)

// tpmModule reads the trusted platform module.
func tpmModule(ctx context.Context, m Machine, out *hwreport.TPM) ([]hwreport.Finding, error) {
	if _, err := statLink(m.Root, tpmDir); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for a TPM: %w", err)
		}
		out.Present = hwreport.Value(false)
		out.Version, out.Manufacturer, out.Vendor, out.Firmware, out.Revision = hwreport.Absent[string](), hwreport.Absent[string](), hwreport.Absent[string](), hwreport.Absent[string](), hwreport.Absent[string]()
		out.Banks, out.EKCertificate, out.PCRs, out.EventLog = hwreport.Absent[[]string](), hwreport.Absent[[]string](), hwreport.Absent[[]hwreport.PCRBank](), hwreport.Absent[hwreport.EventInfo]()
		return nil, nil
	}
	out.Present = hwreport.Value(true)
	out.Version = text(m.Root, tpmDir+"/tpm_version_major")
	if v, ok := out.Version.Get(); ok {
		out.Version = hwreport.Value(map[string]string{"1": "1.2", "2": "2.0"}[v])
	}
	ask := func(command []byte) ([]byte, error) { return m.Ask.Ask(ctx, device.TPMCommand(tpmDev, command)) }
	b, err := ask(tpm.Properties)
	var info tpm.Info
	if err == nil {
		info, err = tpm.ParseProperties(b)
	}
	if err != nil {
		u := hwreport.Unknown[string](err.Error())
		out.Manufacturer, out.Vendor, out.Firmware, out.Revision = u, u, u, u
	} else {
		out.Manufacturer, out.Vendor, out.Firmware, out.Revision = some(info.Manufacturer), some(info.Vendor), some(info.Firmware), some(info.Revision)
	}
	if b, err = ask(tpm.PCRBanks); err == nil {
		var banks []string
		if banks, err = tpm.ParseBanks(b); err == nil {
			out.Banks = hwreport.Value(append([]string{}, banks...))
		}
	}
	if err != nil {
		out.Banks = hwreport.Unknown[[]string](err.Error())
	}
	out.EKCertificate = endorsement(ask)
	out.PCRs = hwreport.Unknown[[]hwreport.PCRBank](out.Banks.Reason())
	if banks, ok := out.Banks.Get(); ok {
		out.PCRs = registers(ask, banks)
	}
	out.EventLog = eventLog(m)
	return tpmFindings(out), nil
}

func endorsement(ask func([]byte) ([]byte, error)) hwreport.Field[[]string] {
	b, err := ask(tpm.NVIndexes)
	var handles []uint32
	if err == nil {
		handles, err = tpm.ParseHandles(b)
	}
	if err != nil {
		return hwreport.Unknown[[]string](err.Error())
	}
	var kinds []string
	for _, h := range handles {
		if k, ok := tpm.EKCertificates()[h]; ok {
			kinds = append(kinds, k)
		}
	}
	if kinds == nil {
		return hwreport.Absent[[]string]()
	}
	return hwreport.Value(kinds)
}

// registers reads the PCRs of the strongest common bank, eight at once: each of
// sysfs's files asks the TPM once more, and a slow one takes 20 ms.
func registers(ask func([]byte) ([]byte, error), banks []string) hwreport.Field[[]hwreport.PCRBank] {
	for _, name := range []string{"sha256", "sha384", "sha512", "sha1"} {
		if !slices.Contains(banks, name) {
			continue
		}
		bank := hwreport.PCRBank{Algorithm: name, Values: make([]string, tpm.PCRs)}
		for left := uint32(1<<tpm.PCRs - 1); left != 0; {
			command, _ := tpm.ReadPCRs(name, left) // a name of the list above
			b, err := ask(command)
			var values map[int]string
			if err == nil {
				values, err = tpm.ParsePCRs(b)
			}
			if err == nil && len(values) == 0 {
				err = errors.New("the TPM leaves registers out")
			}
			if err != nil {
				return hwreport.Unknown[[]hwreport.PCRBank](err.Error())
			}
			for i, v := range values {
				bank.Values[i] = v
				left &^= 1 << i
			}
		}
		return hwreport.Value([]hwreport.PCRBank{bank})
	}
	return hwreport.Absent[[]hwreport.PCRBank]()
}

func eventLog(m Machine) hwreport.Field[hwreport.EventInfo] {
	b, err := readBytes(m.Root, tpmLog)
	if err != nil {
		return why[hwreport.EventInfo](err)
	}
	n, agile, err := tpm.CountEvents(b)
	if err != nil {
		return hwreport.Unknown[hwreport.EventInfo](err.Error())
	}
	format := "sha1"
	if agile {
		format = "crypto-agile"
	}
	return hwreport.Value(hwreport.EventInfo{Format: format, Events: int64(n), Bytes: int64(len(b))})
}

func tpmFindings(out *hwreport.TPM) []hwreport.Finding {
	var found []hwreport.Finding
	if out.Version.Or("") == "1.2" {
		found = append(found, hwreport.NewFinding(hwreport.Info, "tpm.old", "", "the TPM is of version 1.2: measured boot and attestation want 2.0",
			hwreport.Evidence{Source: tpmDir + "/tpm_version_major", Value: "1"}))
	}
	if banks, ok := out.Banks.Get(); ok && len(banks) == 1 && banks[0] == "sha1" {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "tpm.sha1-only", "", "the TPM measures with SHA-1 alone",
			hwreport.Evidence{Source: tpmDev, Value: "sha1"}))
	}
	if out.EventLog.State() == hwreport.IsAbsent {
		found = append(found, hwreport.NewFinding(hwreport.Info, "tpm.no-event-log", "", "the firmware left no log of what it measured",
			hwreport.Evidence{Source: tpmLog, Value: "absent"}))
	}
	return found
}
