/* What C cannot say on aarch64: a system call, and a jump out of a nested handler. */
	.text

/* long kn_syscall(long number, long a, long b, long c, long d, long e, long f) */
	.globl kn_syscall
	.hidden kn_syscall
	.type kn_syscall, %function
kn_syscall:
	.cfi_startproc
	mov x8, x0
	mov x0, x1
	mov x1, x2
	mov x2, x3
	mov x3, x4
	mov x4, x5
	mov x5, x6
	svc #0
	ret
	.cfi_endproc
	.size kn_syscall, . - kn_syscall

/* int kn_jump_set(struct kn_jump *) */
	.globl kn_jump_set
	.hidden kn_jump_set
	.type kn_jump_set, %function
kn_jump_set:
	.cfi_startproc
	stp x19, x20, [x0, #0]
	stp x21, x22, [x0, #16]
	stp x23, x24, [x0, #32]
	stp x25, x26, [x0, #48]
	stp x27, x28, [x0, #64]
	stp x29, x30, [x0, #80]
	mov x1, sp
	str x1, [x0, #96]
	stp d8, d9, [x0, #104]
	stp d10, d11, [x0, #120]
	stp d12, d13, [x0, #136]
	stp d14, d15, [x0, #152]
	mov w0, #0
	ret
	.cfi_endproc
	.size kn_jump_set, . - kn_jump_set

/* void kn_jump_to(const struct kn_jump *) */
	.globl kn_jump_to
	.hidden kn_jump_to
	.type kn_jump_to, %function
kn_jump_to:
	.cfi_startproc
	ldp x19, x20, [x0, #0]
	ldp x21, x22, [x0, #16]
	ldp x23, x24, [x0, #32]
	ldp x25, x26, [x0, #48]
	ldp x27, x28, [x0, #64]
	ldp x29, x30, [x0, #80]
	ldp d8, d9, [x0, #104]
	ldp d10, d11, [x0, #120]
	ldp d12, d13, [x0, #136]
	ldp d14, d15, [x0, #152]
	ldr x1, [x0, #96]
	mov sp, x1
	mov w0, #1
	ret
	.cfi_endproc
	.size kn_jump_to, . - kn_jump_to

/* void kn_clear_flags(void): nothing in PSTATE that user code set makes accesses fault. */
	.globl kn_clear_flags
	.hidden kn_clear_flags
	.type kn_clear_flags, %function
kn_clear_flags:
	.cfi_startproc
	ret
	.cfi_endproc
	.size kn_clear_flags, . - kn_clear_flags

	.section .note.GNU-stack, "", %progbits
