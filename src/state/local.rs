//! The store off AWS: in memory, or one file per document.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Expected;

#[derive(Default)]
pub(super) struct Memory {
    documents: Mutex<HashMap<String, (String, u64)>>,
}

/// Files named after their keys. Conditions hold between the tasks of one process; a second process has no
/// business in the same directory.
pub(super) struct Directory {
    path: PathBuf,
    writing: Mutex<()>,
}

impl Memory {
    pub(super) fn load(&self, key: &str) -> Option<(String, u64)> {
        self.documents().get(key).cloned()
    }

    pub(super) fn save(&self, key: &str, text: String, expected: Expected) -> Option<u64> {
        let mut documents = self.documents();
        let version = next_version(documents.get(key).map(|(_, version)| *version), expected)?;
        documents.insert(key.to_owned(), (text, version));
        Some(version)
    }

    pub(super) fn remove(&self, key: &str) {
        self.documents().remove(key);
    }

    /// Name, text and version of what lies directly in `folder`.
    pub(super) fn list(&self, folder: &str) -> Vec<(String, String, u64)> {
        let documents = self.documents();
        let found = documents.iter().filter_map(|(key, (text, version))| {
            Some((name_in(folder, key)?.to_owned(), text.clone(), *version))
        });
        found.collect()
    }

    fn documents(&self) -> MutexGuard<'_, HashMap<String, (String, u64)>> {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory {
    pub(super) fn new(path: PathBuf) -> Directory {
        Directory {
            path,
            writing: Mutex::default(),
        }
    }

    pub(super) fn load(&self, key: &str) -> io::Result<Option<(String, u64)>> {
        let text = match fs::read_to_string(self.file(key)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // The version on the first line, the document after it.
        let (version, text) = text.split_once('\n').ok_or_else(|| malformed(key))?;
        Ok(Some((
            text.to_owned(),
            version.parse().map_err(|_| malformed(key))?,
        )))
    }

    pub(super) fn save(
        &self,
        key: &str,
        text: &str,
        expected: Expected,
    ) -> io::Result<Option<u64>> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.load(key)?.map(|(_, version)| version);
        let Some(version) = next_version(found, expected) else {
            return Ok(None);
        };
        fs::create_dir_all(&self.path)?;
        // A crash leaves the old file or the new one, never a part.
        let partial = self.path.join("partial");
        fs::write(&partial, format!("{version}\n{text}"))?;
        fs::rename(&partial, self.file(key))?;
        Ok(Some(version))
    }

    pub(super) fn remove(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.file(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<(String, String, u64)>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let file = entry?.file_name();
            let Some(encoded) = file.to_str().and_then(|file| file.strip_suffix(".json")) else {
                continue;
            };
            let key = percent_decode_str(encoded).decode_utf8_lossy();
            if let Some(name) = name_in(folder, &key)
                && let Some((text, version)) = self.load(&key)?
            {
                found.push((name.to_owned(), text, version));
            }
        }
        Ok(found)
    }

    fn file(&self, key: &str) -> PathBuf {
        self.path.join(format!(
            "{}.json",
            utf8_percent_encode(key, NON_ALPHANUMERIC)
        ))
    }
}

/// The last part of `key` when the rest of it is `folder`.
fn name_in<'a>(folder: &str, key: &'a str) -> Option<&'a str> {
    let name = key.strip_prefix(folder)?.strip_prefix('/')?;
    (!name.contains('/')).then_some(name)
}

fn next_version(found: Option<u64>, expected: Expected) -> Option<u64> {
    let met = match expected {
        Expected::Anything => true,
        Expected::Absent => found.is_none(),
        Expected::Version(version) => found == Some(version),
    };
    met.then(|| found.map_or(1, |version| version + 1))
}

fn malformed(key: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the file of `{key}` is malformed; remove it"),
    )
}
