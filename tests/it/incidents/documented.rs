//! What docs/operations.md says of each condition is what the code says.

use ferry::condition::Condition;

#[test]
fn the_documentation_has_each_condition_with_its_remedy() {
    let text = include_str!("../../../docs/operations.md");
    let (_, table) = text
        .split_once("| number | condition | is so when | remedy |\n")
        .unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let rows: Vec<&str> = rows.collect();
    let expected = Condition::ALL.map(|condition| {
        let (number, name) = (condition.number(), condition.name());
        let (meaning, remedy) = (condition.meaning(), condition.remedy());
        format!("| <a id=\"health-{number}\"></a>{number} | `{name}` | {meaning} | {remedy} |")
    });
    assert_eq!(rows, expected);
}
