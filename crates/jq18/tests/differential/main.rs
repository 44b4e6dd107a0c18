//! Random programs give what libjq 1.8 gives: recorded answers always, fresh ones where libjq is at hand.
//!
//! `.ci/run jq` installs libjq's Python binding, and asks it and this crate for the same fresh programs. To do that by
//! hand: `JQ18_LIBJQ="python3 .ci/libjq.py" JQ18_SEED=1 cargo test -p jq18 --test differential -- --ignored`, in the
//! repository's root. `JQ18_CASES` says how many; `JQ18_RECORD` names a file that gets the programs with their answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "says which program was left out")]
#![expect(
    clippy::disallowed_methods,
    reason = "what to ask libjq, and where it is, comes from outside"
)]

mod answer;
mod explained;
mod inputs;
mod patterns;
mod programs;
mod random;
mod vocabulary;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use answer::{Answer, of_crate, of_libjq};
use serde_json::{Value, json};

/// Programs with libjq's answers, one JSON object a line; made with `JQ18_RECORD`.
const RECORDED: &str = include_str!("../vectors/recorded.jsonl");
/// Fresh programs of one run, unless `JQ18_CASES` says otherwise.
const FRESH: usize = 20_000;

struct Case {
    program: String,
    input: Value,
}

#[test]
fn recorded_programs_answer_as_libjq_did() {
    let mut differences = Vec::new();
    let mut outputs = 0;
    for line in RECORDED.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let case = Case {
            program: recorded["program"].as_str().unwrap().to_owned(),
            input: recorded["input"].clone(),
        };
        let wanted = of_libjq(&recorded["answer"]);
        outputs += usize::from(matches!(wanted, Answer::Outputs(_)));
        differences.extend(difference(&case, &wanted));
    }
    assert!(
        1_000 < outputs,
        "only {outputs} recorded programs have outputs"
    );
    report(&differences, "recorded");
}

#[test]
#[ignore = "needs libjq: .ci/run jq"]
fn fresh_programs_answer_as_libjq_does() {
    let setting = |name: &str| std::env::var(name).ok();
    let libjq = setting("JQ18_LIBJQ").expect("JQ18_LIBJQ: the command that answers with libjq");
    let seed = setting("JQ18_SEED").map_or(1, |seed| seed.parse().unwrap());
    let count = setting("JQ18_CASES").map_or(FRESH, |count| count.parse().unwrap());
    let cases: Vec<Case> = fresh(seed, count);
    let answers = ask_all(&libjq, &cases);
    let mut differences = Vec::new();
    let mut record = String::new();
    for (case, answer) in cases.iter().zip(&answers) {
        if answer["error"] == "endless" {
            continue;
        }
        differences.extend(difference(case, &of_libjq(answer)));
        let line = json!({"program": case.program, "input": case.input, "answer": answer});
        record.push_str(&format!("{line}\n"));
    }
    if let Some(path) = setting("JQ18_RECORD") {
        std::fs::write(path, record).unwrap();
    }
    report(&differences, &format!("of {count} with seed {seed}"));
}

fn fresh(seed: u64, count: usize) -> Vec<Case> {
    let mut random = random::Random::new(seed);
    let mut cases = Vec::with_capacity(count);
    while cases.len() < count {
        let depth = 1 + random.below(3);
        let mut program = programs::Author::new(&mut random).program(depth);
        // Most programs fail on most inputs; what they do before shows where that is caught.
        match random.below(8) {
            0 | 1 => program = format!("[.[]? | try ({program}) catch \"failed\"]"),
            2 => program = format!("try ({program}) catch \"failed\""),
            _ => {}
        }
        if program.len() < 300 {
            let input = inputs::input(&mut random, 3);
            cases.push(Case { program, input });
        }
    }
    cases
}

/// Lets libjq answer all cases, in their order. One on which it does not end has no answer.
fn ask_all(command: &str, cases: &[Case]) -> Vec<Value> {
    const ENDLESS: usize = 10;
    let mut answers = ask(command, cases);
    for _ in 0..ENDLESS {
        let Some(endless) = cases.get(answers.len()) else {
            break;
        };
        println!(
            "libjq does not answer {} on {}",
            endless.program, endless.input
        );
        answers.push(json!({"error": "endless"}));
        let left = &cases[answers.len()..];
        answers.extend(ask(command, left));
    }
    assert_eq!(answers.len(), cases.len(), "libjq left programs unanswered");
    answers
}

/// The answers up to the first case on which libjq does not end.
fn ask(command: &str, cases: &[Case]) -> Vec<Value> {
    let mut words = command.split_whitespace();
    let mut libjq = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = libjq.stdin.take().unwrap();
    let lines: Vec<String> = cases
        .iter()
        .map(|case| json!({"program": case.program, "input": case.input}).to_string())
        .collect();
    let asking = std::thread::spawn(move || {
        for line in lines {
            // A process that has ended is noticed by what it leaves unanswered.
            if writeln!(questions, "{line}").is_err() {
                break;
            }
        }
    });
    let lines = BufReader::new(libjq.stdout.take().unwrap()).lines();
    let answers = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    let answers = answers.collect();
    asking.join().unwrap();
    libjq.wait().unwrap();
    answers
}

/// What is wrong with this crate's answer, if it is, and that is not explained.
fn difference(case: &Case, wanted: &Answer) -> Option<String> {
    let found = of_crate(&case.program, &case.input);
    if wanted.is(&found) || explained::reason(&case.program, &case.input, wanted, &found).is_some()
    {
        return None;
    }
    Some(format!(
        "{}\n    on    {}\n    libjq {wanted}\n    jq18  {found}",
        case.program, case.input
    ))
}

fn report(differences: &[String], which: &str) {
    const SHOWN: usize = 40;
    let shown = &differences[..differences.len().min(SHOWN)];
    assert!(
        differences.is_empty(),
        "{} programs ({which}) differ from libjq:\n{}",
        differences.len(),
        shown.join("\n")
    );
}
