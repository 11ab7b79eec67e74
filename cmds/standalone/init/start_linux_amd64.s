#include "textflag.h"

DATA path<>+0(SB)/8, $"/bin/tru"
DATA path<>+8(SB)/2, $"e\x00"
GLOBL path<>(SB), RODATA|NOPTR, $10

DATA argv<>+0(SB)/8, $path<>(SB)
DATA argv<>+8(SB)/8, $0
GLOBL argv<>(SB), RODATA, $16

// The child has the parent's memory and stack until execve, and the parent waits
// for that (clone(2), CLONE_VFORK): it writes to neither.
TEXT ·start(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ $56, AX // clone
	MOVQ $0x4111, DI // CLONE_VM | CLONE_VFORK | SIGCHLD
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JEQ child
	MOVQ AX, ·warmed(SB)
	XORL DX, DX
	JMP _rt0_amd64_linux(SB)
child:
	MOVQ $59, AX // execve
	LEAQ path<>(SB), DI
	LEAQ argv<>(SB), SI
	LEAQ argv<>+8(SB), DX // no environment
	SYSCALL
	MOVQ $231, AX // exit_group
	MOVQ $127, DI // as a shell says it: not found
	SYSCALL
	INT $3
