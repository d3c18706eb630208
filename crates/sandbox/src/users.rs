//! Ranges of user numbers for containers: 65,536 each, of the part of all numbers that neither
//! people, nor /etc/subuid by its defaults, nor systemd's containers get
//! (systemd, "Users, Groups, UIDs and GIDs on systemd systems").
//!
//! Which range a container has follows from the node's identity and from the ranges of the
//! containers that are there: no two of a node ever have the same.

use std::collections::BTreeSet;

use crate::container::Users;
use crate::error::SandboxError;

/// The numbers of one container.
pub const SIZE: u32 = 65_536;
const FIRST: u32 = 0x7000_0000;
/// From 0x7FFE_0000 systemd has a range for files of foreign users.
const RANGES: u32 = 0x0FFE_0000 / SIZE;

/// A range that none of these has. Different nodes on one machine begin at different ones.
///
/// # Errors
/// `UsersExhausted`.
pub fn free_range(node: &str, taken: &[Users]) -> Result<Users, SandboxError> {
    let begin = node.bytes().fold(5381_u32, |sum, byte| {
        sum.wrapping_mul(33).wrapping_add(u32::from(byte))
    });
    let taken_firsts: BTreeSet<u32> = taken.iter().filter_map(|users| users.first()).collect();
    let mut firsts = (0..RANGES).map(|step| FIRST + (begin % RANGES + step) % RANGES * SIZE);
    let free = firsts.find(|first| !taken_firsts.contains(first));
    let free = free.ok_or(SandboxError::UsersExhausted(taken.len()))?;
    Ok(Users::Range { first: free })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_containers_share_a_range_until_all_are_taken() {
        let mut taken = Vec::new();
        for _ in 0..RANGES {
            let range = free_range("abc", &taken).unwrap();
            let Users::Range { first } = range else {
                panic!("{range:?}")
            };
            assert!(first >= FIRST && first.checked_add(SIZE).unwrap() <= 0x7FFE_0000);
            taken.push(range);
        }
        assert!(matches!(
            free_range("abc", &taken),
            Err(SandboxError::UsersExhausted(4094))
        ));
        taken.sort_by_key(|range| format!("{range:?}"));
        taken.dedup();
        assert_eq!(taken.len(), 4094);
    }

    #[test]
    fn the_choice_is_the_same_each_time() {
        assert_eq!(
            free_range("n", &[]).unwrap(),
            free_range("n", &[Users::Host]).unwrap()
        );
    }
}
