//! The programs for the kernel that a container's system calls pass: compiled from the table when
//! this crate is built (`compile.rs`).

use seccompiler::{BpfProgram, sock_filter};

/// An instruction of the kernel's: its code, where to go on, a constant (linux/filter.h).
type Instruction = (u16, u8, u8, u32);

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// The programs, in the order in which they are to be loaded.
pub fn programs() -> Vec<BpfProgram> {
    let instruction = |&(code, jt, jf, k): &Instruction| sock_filter { code, jt, jf, k };
    let program = |program: &&[Instruction]| program.iter().map(instruction).collect();
    PROGRAMS.iter().map(program).collect()
}

#[cfg(test)]
#[path = "compile.rs"]
mod compile;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_is_what_the_table_compiles_to() {
        let compiled = compile::compile(std::env::consts::ARCH).unwrap();
        assert_eq!(programs(), compiled);
    }

    #[test]
    fn there_are_two_programs_that_the_kernel_would_take() {
        let programs = programs();
        assert_eq!(programs.len(), 2);
        for program in programs {
            // BPF_MAXINSNS (linux/bpf_common.h).
            assert!((50..4096).contains(&program.len()), "{}", program.len());
        }
    }
}
