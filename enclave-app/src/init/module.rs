//! The driver of the NSM, where the kernel has it as a module: AWS's own does, ours has it built in.

use std::{ffi::CStr, fs::File, path::Path};

use nix::{
    errno::Errno,
    kmod::{ModuleInitFlags, finit_module},
};

use super::InitError;

/// In the first ramdisk, so measured in PCR0 and PCR1.
const MODULE: &str = "/nsm.ko";
const NO_OPTIONS: &CStr = c"";

/// Loads the module of the image, if it has one.
pub(super) fn load() -> Result<(), InitError> {
    if !Path::new(MODULE).exists() {
        return Ok(());
    }
    let file = File::open(MODULE).map_err(InitError::ModuleFile)?;
    match finit_module(&file, NO_OPTIONS, ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(InitError::Module(error)),
    }
}
