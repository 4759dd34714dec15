/* What C cannot say on x86_64: a system call, and a jump out of a nested handler. */
	.text

/* long kn_syscall(long number, long a, long b, long c, long d, long e, long f) */
	.globl kn_syscall
	.hidden kn_syscall
	.type kn_syscall, @function
kn_syscall:
	.cfi_startproc
	mov %rdi, %rax
	mov %rsi, %rdi
	mov %rdx, %rsi
	mov %rcx, %rdx
	mov %r8, %r10
	mov %r9, %r8
	mov 8(%rsp), %r9
	syscall
	ret
	.cfi_endproc
	.size kn_syscall, . - kn_syscall

/* int kn_jump_set(struct kn_jump *) */
	.globl kn_jump_set
	.hidden kn_jump_set
	.type kn_jump_set, @function
kn_jump_set:
	.cfi_startproc
	mov %rbx, 0(%rdi)
	mov %rbp, 8(%rdi)
	mov %r12, 16(%rdi)
	mov %r13, 24(%rdi)
	mov %r14, 32(%rdi)
	mov %r15, 40(%rdi)
	lea 8(%rsp), %rax
	mov %rax, 48(%rdi)
	mov (%rsp), %rax
	mov %rax, 56(%rdi)
	xor %eax, %eax
	ret
	.cfi_endproc
	.size kn_jump_set, . - kn_jump_set

/* void kn_jump_to(const struct kn_jump *) */
	.globl kn_jump_to
	.hidden kn_jump_to
	.type kn_jump_to, @function
kn_jump_to:
	.cfi_startproc
	mov 0(%rdi), %rbx
	mov 8(%rdi), %rbp
	mov 16(%rdi), %r12
	mov 24(%rdi), %r13
	mov 32(%rdi), %r14
	mov 40(%rdi), %r15
	mov 48(%rdi), %rsp
	mov $1, %eax
	cld
	jmp *56(%rdi)
	.cfi_endproc
	.size kn_jump_to, . - kn_jump_to

/* void kn_clear_flags(void): the kernel enters handlers with the flags of the interrupted
 * code; with the alignment check on, the handler's own accesses would fault. */
	.globl kn_clear_flags
	.hidden kn_clear_flags
	.type kn_clear_flags, @function
kn_clear_flags:
	.cfi_startproc
	pushf
	.cfi_adjust_cfa_offset 8
	andq $~0x40000, (%rsp)
	popf
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size kn_clear_flags, . - kn_clear_flags

	.section .note.GNU-stack, "", @progbits
