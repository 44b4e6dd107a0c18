//! Programs that address parts of their input.

use super::Author;
use crate::inputs::KEYS;

impl Author<'_> {
    /// What has paths.
    pub(super) fn target(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.steps();
        }
        let inner = depth - 1;
        match self.random.below(14) {
            0 => format!("{}, {}", self.target(inner), self.target(inner)),
            1 => format!("({}) | {}", self.target(inner), self.target(inner)),
            2 => format!("(.a?, .b?) // ({})", self.target(inner)),
            3 => format!(
                "if {} then {} else {} end",
                self.short(),
                self.target(inner),
                self.steps()
            ),
            4 => format!("{} | select({})", self.steps(), self.short()),
            5 => format!("first({})", self.target(inner)),
            6 => format!("limit({}; {})", self.random.below(3), self.target(inner)),
            7 => format!(
                "getpath([{}])",
                self.random.of(&["\"a\"", "0", "\"a\", 0", "-1", ""])
            ),
            8 => self
                .random
                .of(&["recurse", "..", "empty", ".[]?", "recurse(.[]?)"])
                .to_owned(),
            _ => self.steps(),
        }
    }

    /// Steps from the input on.
    pub(super) fn steps(&mut self) -> String {
        let mut path = String::new();
        for index in 0..=self.random.below(3) {
            let step = match self.random.below(8) {
                0..=2 => format!(".{}", self.random.of(&["a", "b", "c", "name"])),
                3 => "[]".to_owned(),
                4 | 5 => format!(
                    "[{}]",
                    self.random.of(&["0", "1", "-1", "-2", "(0, 1)", "1.5"])
                ),
                6 => format!(
                    "[{}:{}]",
                    self.random.of(&["0", "1", "-2"]),
                    self.random.of(&["", "2", "-1"])
                ),
                _ => format!("[\"{}\"]", self.random.of(&KEYS)),
            };
            if index == 0 && step.starts_with('[') {
                path.push('.');
            }
            path.push_str(&step);
            if self.random.chance(50) {
                path.push('?');
            }
        }
        path
    }
}
