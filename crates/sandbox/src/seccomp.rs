//! Which system calls a container may make: a table, and its form in an OCI bundle.
//!
//! What is not named here does not exist for a container (ENOSYS), so that a program built for a
//! newer kernel falls back; what changes the machine, its namespaces or its mounts, or has been a
//! way out too often, is refused (EPERM). The programs that say so to the kernel are compiled by
//! `build.rs`, of which this file is a part too: it knows nothing of the rest of the crate.

use serde_json::{Value, json};

/// Allowed whatever the arguments are, on every architecture.
const ALLOWED: &str = "\
accept accept4 bind brk cachestat capget capset chdir chroot clock_getres clock_gettime \
clock_nanosleep close close_range connect copy_file_range dup dup3 epoll_create1 epoll_ctl \
epoll_pwait epoll_pwait2 eventfd2 execve execveat exit exit_group faccessat faccessat2 \
fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl \
fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate \
futex futex_requeue futex_wait futex_waitv futex_wake get_mempolicy get_robust_list getcpu \
getcwd getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpid \
getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname \
getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init1 \
inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl \
ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self \
lgetxattr linkat listen listmount listxattr llistxattr lremovexattr lseek lsetxattr \
lsm_get_self_attr lsm_list_modules lsm_set_self_attr madvise membarrier memfd_create \
memfd_secret mincore mkdirat mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr \
mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv \
msgsnd msync munlock munlockall munmap nanosleep newfstatat openat openat2 pidfd_getfd \
pidfd_open pidfd_send_signal pipe2 pkey_alloc pkey_free pkey_mprotect ppoll prctl pread64 \
preadv preadv2 prlimit64 process_madvise process_mrelease process_vm_readv process_vm_writev \
pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlinkat readv recvfrom recvmmsg \
recvmsg remap_file_pages removexattr renameat renameat2 restart_syscall rseq rt_sigaction \
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity \
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity \
sched_setattr sched_setparam sched_setscheduler sched_yield seccomp semctl semget semop \
semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_tid_address setfsgid setfsuid \
setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit \
setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd4 \
socketpair splice statfs statmount statx symlinkat sync sync_file_range syncfs sysinfo tee \
tgkill timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create \
timerfd_gettime timerfd_settime times tkill truncate umask uname unlinkat utimensat vmsplice \
wait4 waitid write writev";

/// Allowed too on x86_64, where they exist.
const ALLOWED_OLD: &str = "\
access alarm arch_prctl chmod chown creat dup2 epoll_create epoll_wait eventfd fork futimesat \
get_thread_area getdents getpgrp inotify_init lchown link lstat mkdir mknod modify_ldt open \
pause pipe poll readlink rename rmdir select set_thread_area signalfd stat symlink time unlink \
uretprobe utime utimes vfork";

/// Refused.
const DENIED: &str = "\
acct add_key adjtimex bpf clock_adjtime clock_settime delete_module fanotify_init finit_module \
fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup \
kcmp kexec_file_load kexec_load keyctl lookup_dcookie map_shadow_stack mbind migrate_pages \
mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at \
open_tree perf_event_open pivot_root quotactl quotactl_fd reboot request_key set_mempolicy \
set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon syslog \
umount2 unshare userfaultfd vhangup";
const DENIED_OLD: &str = "\
_sysctl create_module get_kernel_syms ioperm iopl query_module sysfs uselib ustat";

/// The flags of clone(2) that make namespaces.
const NEW_NAMESPACES: u64 = 0x7E02_0000;
/// `AF_VSOCK` and `AF_ALG` (linux/socket.h): ways to a hypervisor and to the kernel's ciphers.
const FAMILIES: [u64; 2] = [40, 38];
/// The personalities of personality(2) that programs ask for: Linux, 32 bits, old names, and asking.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// What is said to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Allow,
    Errno(u32),
}

/// A comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    Equals(u64),
    Differs(u64),
    /// None of these bits is set.
    Clear(u64),
}

/// A rule: these calls, where every one of the tests of arguments holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub calls: Vec<&'static str>,
    /// The number of the argument, and what it must be.
    pub tests: Vec<(u8, Test)>,
    pub answer: Answer,
}

/// What is said to a call without a rule.
pub const DEFAULT: Answer = Answer::Errno(ENOSYS);

/// All rules of an architecture. No call has two with different answers, so that their order says
/// nothing.
pub fn rules(arch: &str) -> Vec<Rule> {
    let words = |one: &'static str, two: &'static str| {
        let old = if arch == "x86_64" { two } else { "" };
        one.split_whitespace()
            .chain(old.split_whitespace())
            .collect()
    };
    let rule = |calls, tests, answer| Rule {
        calls,
        tests,
        answer,
    };
    let mut rules = vec![
        rule(words(ALLOWED, ALLOWED_OLD), vec![], Answer::Allow),
        rule(words(DENIED, DENIED_OLD), vec![], Answer::Errno(EPERM)),
        // Its flags are behind a pointer, where no filter looks: programs fall back to clone.
        rule(vec!["clone3"], vec![], Answer::Errno(ENOSYS)),
        rule(
            vec!["clone"],
            vec![(0, Test::Clear(NEW_NAMESPACES))],
            Answer::Allow,
        ),
        rule(
            vec!["socket"],
            FAMILIES.map(|family| (0, Test::Differs(family))).to_vec(),
            Answer::Allow,
        ),
    ];
    let personality = |value| {
        rule(
            vec!["personality"],
            vec![(0, Test::Equals(value))],
            Answer::Allow,
        )
    };
    rules.extend(PERSONALITIES.map(personality));
    rules
}

/// The rules as `linux.seccomp` of an OCI bundle has them.
pub fn oci() -> Value {
    let action = |answer| match answer {
        Answer::Allow => json!({"action": "SCMP_ACT_ALLOW"}),
        Answer::Errno(errno) => json!({"action": "SCMP_ACT_ERRNO", "errnoRet": errno}),
    };
    let test = |(index, test): &(u8, Test)| match test {
        Test::Equals(value) => json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"}),
        Test::Differs(value) => json!({"index": index, "value": value, "op": "SCMP_CMP_NE"}),
        Test::Clear(bits) => json!({
            "index": index, "value": bits, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ",
        }),
    };
    let entry = |rule: Rule| {
        let mut entry = action(rule.answer);
        entry["names"] = json!(rule.calls);
        if !rule.tests.is_empty() {
            entry["args"] = rule.tests.iter().map(test).collect();
        }
        entry
    };
    // ENOSYS for clone3 is the default: a rule of its own would be one too many for libseccomp.
    let arch = std::env::consts::ARCH;
    let rules = rules(arch).into_iter();
    let rules = rules.filter(|rule| rule.answer != DEFAULT);
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "architectures": [format!("SCMP_ARCH_{}", arch.to_uppercase())],
        "syscalls": rules.map(entry).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let of = |answer| -> BTreeSet<_> {
            let rules = rules(std::env::consts::ARCH).into_iter();
            let rules = rules.filter(|rule| rule.answer == answer);
            rules.flat_map(|rule| rule.calls).collect()
        };
        let (allowed, refused) = (of(Answer::Allow), of(Answer::Errno(EPERM)));
        assert!(allowed.len() > 250 && refused.len() > 50);
        assert!(
            allowed.is_disjoint(&refused),
            "{:?}",
            allowed.intersection(&refused)
        );
        for call in [
            "mount",
            "setns",
            "unshare",
            "bpf",
            "kexec_load",
            "init_module",
            "keyctl",
        ] {
            assert!(refused.contains(call), "{call}");
        }
    }
}
