#include "textflag.h"

DATA path<>+0(SB)/8, $"/bin/col"
DATA path<>+8(SB)/6, $"dplug\x00"
GLOBL path<>(SB), RODATA|NOPTR, $14

DATA word<>+0(SB)/6, $"ahead\x00"
GLOBL word<>(SB), RODATA|NOPTR, $6

DATA one<>+0(SB)/8, $"GOMAXPRO"
DATA one<>+8(SB)/5, $"CS=1\x00"
GLOBL one<>(SB), RODATA|NOPTR, $13

DATA argv<>+0(SB)/8, $path<>(SB)
DATA argv<>+8(SB)/8, $word<>(SB)
DATA argv<>+16(SB)/8, $0
GLOBL argv<>(SB), RODATA, $24

DATA envp<>+0(SB)/8, $one<>(SB)
DATA envp<>+8(SB)/8, $0
GLOBL envp<>(SB), RODATA, $16

// The child has the parent's memory and stack until execve, and the parent waits
// for that (clone(2), CLONE_VFORK): it writes to neither.
TEXT ·start(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ $157, AX // prctl
	MOVQ $29, DI // PR_SET_TIMERSLACK
	MOVQ $5000000, SI // bringup.BootSlack
	SYSCALL
	MOVQ $56, AX // clone
	MOVQ $0x24111, DI // CLONE_VM | CLONE_VFORK | CLONE_NEWNS | SIGCHLD
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JEQ child
	MOVQ AX, ·ahead(SB)
	MOVQ 0(SP), CX // argc; argv follows it, NULL, then envp
	LEAQ 16(SP)(CX*8), CX
	MOVQ (CX), DX
	TESTQ DX, DX
	JEQ  go
	CMPL (DX), $0x454d4f48 // "HOME", which the kernel puts first
	JNE  go
	LEAQ one<>(SB), DX
	MOVQ DX, (CX)
go:
	XORL DX, DX
	JMP _rt0_amd64_linux(SB)
child:
	MOVQ $141, AX // setpriority
	XORL DI, DI // PRIO_PROCESS
	XORL SI, SI // itself
	MOVQ $-20, DX
	SYSCALL
	MOVQ $59, AX // execve
	LEAQ path<>(SB), DI
	LEAQ argv<>(SB), SI
	LEAQ envp<>(SB), DX
	SYSCALL
	MOVQ $231, AX // exit_group
	MOVQ $127, DI // as a shell says it: not found
	SYSCALL
	INT $3
