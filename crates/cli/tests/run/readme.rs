//! What README.md shows of containers works as it stands there.

use crate::ground::Ground;

const README: &str = include_str!("../../../../README.md");

fn script(ground: &Ground, script: &str) -> testnet::Output {
    let bin = std::path::Path::new(crate::node::PONTOON).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    testnet::output(
        (***ground)
            .command("sh")
            .env("PATH", path)
            .args(["-euc", script]),
    )
}

#[test]
fn the_readmes_containers_run_and_each_line_of_its_table() {
    let ground = Ground::new();
    let block = README
        .split("```bash\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let said = script(&ground, block.unwrap()).expect_success("the block");
    assert!(said.contains("10.6.0."), "{said}");
    let lines = README
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("`pontoon run "));
    // Rates are about the disk of `/`, which may be on none.
    let about = ground.disk_option();
    let about = about.unwrap_or_else(|| "--best-effort".to_owned());
    let mut count = 0;
    for line in lines {
        let shown = line.split('`').nth(1).unwrap();
        let command = match shown.contains("--io-") {
            true => shown.replace(" -- ", &format!(" {about} -- ")),
            false => shown.to_owned(),
        };
        let said = script(&ground, &command).expect_success(&command);
        assert!(!said.is_empty(), "{command}");
        count += 1;
    }
    assert!(count >= 12, "{count}");
    ground.assert_gone();
}
