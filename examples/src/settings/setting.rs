//! What is given for a setting: by its flag, its variable or its default.

use std::ffi::OsString;

/// A setting as it was given: its flag, its variable, its default.
pub(super) struct Setting {
    pub(super) flag: &'static str,
    pub(super) variable: &'static str,
    pub(super) default: &'static str,
    /// The only subcommand that takes it; none for those of the server.
    pub(super) only_for: Option<&'static str>,
    /// It is given without a value.
    pub(super) is_switch: bool,
    pub(super) given: Option<String>,
}

/// A given value and where it came from, for messages.
pub(super) struct Value {
    pub(super) origin: &'static str,
    pub(super) text: String,
    pub(super) is_default: bool,
}

impl Setting {
    pub(super) fn new(flag: &'static str, variable: &'static str, default: &'static str) -> Self {
        Self { flag, variable, default, only_for: None, is_switch: false, given: None }
    }

    pub(super) fn switch(flag: &'static str, variable: &'static str) -> Self {
        Self { is_switch: true, ..Self::new(flag, variable, "false") }
    }

    pub(super) fn only_for(self, subcommand: &'static str) -> Self {
        Self { only_for: Some(subcommand), ..self }
    }

    /// Refuses to be given to a subcommand that does not take it. All take the store.
    pub(super) fn check_use(&self, subcommand: Option<&str>) -> Result<(), String> {
        match (self.only_for, subcommand) {
            (Some(only), other) if other != Some(only) => {
                Err(format!("{} is only for {only}; see --help", self.flag))
            }
            (None, Some(other)) if self.flag != "--store" => {
                Err(format!("{} is no option of {other}; see --help", self.flag))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn value(&self, environment: &impl Fn(&str) -> Option<OsString>) -> Result<Value, String> {
        if let Some(text) = &self.given {
            return Ok(Value { origin: self.flag, text: text.clone(), is_default: false });
        }
        // A variable that is set to nothing counts as not set: that is how compose files and shells leave one out.
        match environment(self.variable).filter(|text| !text.is_empty()) {
            None => Ok(Value { origin: self.flag, text: self.default.into(), is_default: true }),
            Some(text) => {
                let text = text.into_string().map_err(|_| format!("{}: is not UTF-8", self.variable))?;
                Ok(Value { origin: self.variable, text, is_default: false })
            }
        }
    }
}

impl Value {
    pub(super) fn refused(&self, expected: &str) -> String {
        format!("{} {:?}: {expected}", self.origin, self.text)
    }
}
