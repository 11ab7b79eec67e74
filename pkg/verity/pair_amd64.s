#include "textflag.h"

// SHA-256 of two messages at once, with the processor's SHA extensions: an
// instruction of one stream runs while the other's waits for its result. The
// steps are those of Intel's "Intel SHA Extensions" (Gulley and others, 2013),
// once for each stream.
//
// Registers, A and B being the streams:
//	X0            words of the schedule with their constants added, as SHA256RNDS2 takes them
//	X1 X2, X7 X8  state of A, of B: a b e f, c d g h
//	X3-6, X9-12   sixteen words of the schedule of A, of B
//	X13, X14      for either
//	X15           order of bytes

// ROUNDS4 does four rounds with the words in w.
#define ROUNDS4(k, w, s0, s1) \
	MOVOU k(AX), X0; \
	PADDD w, X0; \
	SHA256RNDS2 X0, s0, s1; \
	PSHUFD $0x0e, X0, X0; \
	SHA256RNDS2 X0, s1, s0

// LOAD reads four words of the message.
#define LOAD(from, w) \
	MOVOU from, w; \
	PSHUFB X15, w

// NEXT finishes the four words after w, which stand begun in next.
#define NEXT(w, before, next, t) \
	MOVO w, t; \
	PALIGNR $4, before, t; \
	PADDD t, next; \
	SHA256MSG2 w, next

// FULL is four rounds and the schedule's share, for both streams.
#define FULL(k, a, abefore, anext, b, bbefore, bnext) \
	ROUNDS4(k, a, X1, X2); \
	ROUNDS4(k, b, X7, X8); \
	NEXT(a, abefore, anext, X13); \
	NEXT(b, bbefore, bnext, X14); \
	SHA256MSG1 a, abefore; \
	SHA256MSG1 b, bbefore

// PACK turns a state in memory into the two registers.
#define PACK(from, s0, s1, t) \
	MOVOU (from), t; \
	MOVOU 16(from), s1; \
	PSHUFD $0xb1, t, t; \
	PSHUFD $0x1b, s1, s1; \
	MOVO t, s0; \
	PALIGNR $8, s1, s0; \
	PBLENDW $0xf0, t, s1

// UNPACK is the way back.
#define UNPACK(s0, s1, t, to) \
	PSHUFD $0x1b, s0, t; \
	PSHUFD $0xb1, s1, s1; \
	MOVO t, s0; \
	PBLENDW $0xf0, s1, s0; \
	PALIGNR $8, t, s1; \
	MOVOU s0, (to); \
	MOVOU s1, 16(to)

// func compressPair(a, b *byte, blocks int, stateA, stateB *[8]uint32, constants *[64]uint32, order *[16]byte)
TEXT ·compressPair(SB), NOSPLIT, $64-56
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), DI
	MOVQ blocks+16(FP), CX
	MOVQ stateA+24(FP), R8
	MOVQ stateB+32(FP), R9
	MOVQ constants+40(FP), AX
	MOVQ order+48(FP), BX
	MOVOU (BX), X15
	PACK(R8, X1, X2, X13)
	PACK(R9, X7, X8, X14)

loop:
	MOVOU X1, 0(SP)
	MOVOU X2, 16(SP)
	MOVOU X7, 32(SP)
	MOVOU X8, 48(SP)

	LOAD(0(SI), X3)
	LOAD(0(DI), X9)
	ROUNDS4(0, X3, X1, X2)
	ROUNDS4(0, X9, X7, X8)
	LOAD(16(SI), X4)
	LOAD(16(DI), X10)
	ROUNDS4(16, X4, X1, X2)
	ROUNDS4(16, X10, X7, X8)
	SHA256MSG1 X4, X3
	SHA256MSG1 X10, X9
	LOAD(32(SI), X5)
	LOAD(32(DI), X11)
	ROUNDS4(32, X5, X1, X2)
	ROUNDS4(32, X11, X7, X8)
	SHA256MSG1 X5, X4
	SHA256MSG1 X11, X10
	LOAD(48(SI), X6)
	LOAD(48(DI), X12)
	FULL(48, X6, X5, X3, X12, X11, X9)
	FULL(64, X3, X6, X4, X9, X12, X10)
	FULL(80, X4, X3, X5, X10, X9, X11)
	FULL(96, X5, X4, X6, X11, X10, X12)
	FULL(112, X6, X5, X3, X12, X11, X9)
	FULL(128, X3, X6, X4, X9, X12, X10)
	FULL(144, X4, X3, X5, X10, X9, X11)
	FULL(160, X5, X4, X6, X11, X10, X12)
	FULL(176, X6, X5, X3, X12, X11, X9)
	FULL(192, X3, X6, X4, X9, X12, X10)
	ROUNDS4(208, X4, X1, X2)
	ROUNDS4(208, X10, X7, X8)
	NEXT(X4, X3, X5, X13)
	NEXT(X10, X9, X11, X14)
	ROUNDS4(224, X5, X1, X2)
	ROUNDS4(224, X11, X7, X8)
	NEXT(X5, X4, X6, X13)
	NEXT(X11, X10, X12, X14)
	ROUNDS4(240, X6, X1, X2)
	ROUNDS4(240, X12, X7, X8)

	MOVOU 0(SP), X13
	MOVOU 16(SP), X14
	PADDD X13, X1
	PADDD X14, X2
	MOVOU 32(SP), X13
	MOVOU 48(SP), X14
	PADDD X13, X7
	PADDD X14, X8
	ADDQ $64, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

	UNPACK(X1, X2, X13, R8)
	UNPACK(X7, X8, X14, R9)
	RET

// func cpuid(leaf uint32) (eax, ebx, ecx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-20
	MOVL leaf+0(FP), AX
	XORL CX, CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	RET
