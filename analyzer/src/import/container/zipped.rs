//! Zip archives: by their directory, which stands at the end, or without it where that was cut off.

use saigen_schemas::report::FindingKind;
use zip::read::read_zipfile_from_stream;

use crate::import::container::Walk;
use crate::import::sink::{ImportError, Input};

impl Walk<'_> {
    /// The files of an archive.
    pub(super) fn zip(
        &mut self,
        input: &mut dyn Input,
        path: Option<&str>,
        depth: usize,
    ) -> Result<(), ImportError> {
        if self.is_too_deep(path, depth) {
            return Ok(());
        }
        let mut archive = match zip::ZipArchive::new(&mut *input) {
            Ok(archive) => archive,
            Err(error) => {
                let text = format!(
                    "the archive's directory cannot be read ({error}); its files are read from its beginning on, as far as they go"
                );
                self.tell(FindingKind::Damage, path, &text);
                return self.zip_without_directory(input, path, depth);
            }
        };
        for number in 0..archive.len() {
            if !self.goes_on(path, number as u64) {
                return Ok(());
            }
            let mut entry = match archive.by_index(number) {
                Ok(entry) => entry,
                Err(error) => {
                    let text = format!("file {number} of the archive cannot be unpacked: {error}");
                    self.tell(FindingKind::Damage, path, &text);
                    continue;
                }
            };
            if entry.is_dir() || entry.is_symlink() {
                continue;
            }
            let name = entry.name_raw().to_vec();
            let inner = self.name(path, &name, number as u64);
            self.stream(&mut entry, Some(&inner), depth + 1)?;
        }
        Ok(())
    }

    /// The files of an archive whose directory is gone: each has a header of its own before it.
    fn zip_without_directory(
        &mut self,
        input: &mut dyn Input,
        path: Option<&str>,
        depth: usize,
    ) -> Result<(), ImportError> {
        input.rewind().map_err(ImportError::read(0))?;
        for number in 0.. {
            if !self.goes_on(path, number) {
                return Ok(());
            }
            let mut front: &mut dyn Input = &mut *input;
            let Ok(Some(mut entry)) = read_zipfile_from_stream(&mut front) else {
                return Ok(());
            };
            if entry.is_file() {
                let name = entry.name_raw().to_vec();
                let inner = self.name(path, &name, number);
                self.stream(&mut entry, Some(&inner), depth + 1)?;
            }
        }
        Ok(())
    }
}
