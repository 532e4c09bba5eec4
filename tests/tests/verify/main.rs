//! How far journals can be trusted: what the judge says, what the document says, what the
//! program says.

#[cfg(test)]
mod documented;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod kept;
mod maker;
#[cfg(test)]
mod program;
mod proved;
