package sshserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pkg/sftp"
)

// ServeSFTP speaks the SFTP protocol (draft-ietf-secsh-filexfer-02, as OpenSSH)
// on a pair of streams, with the rights of the process that calls it.
func ServeSFTP(in io.Reader, out io.WriteCloser) error {
	options := []sftp.ServerOption{}
	if dir, err := os.Getwd(); err == nil {
		options = append(options, sftp.WithServerWorkingDirectory(dir))
	}
	server, err := sftp.NewServer(readWriteCloser{in, out}, options...)
	if err != nil {
		return fmt.Errorf("start SFTP: %w", err)
	}
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "broken pipe") {
		return fmt.Errorf("serve SFTP: %w", err)
	}
	return nil
}

type readWriteCloser struct {
	io.Reader
	io.WriteCloser
}
