//! How far journals can be trusted: what the judge says, what the document says, what the
//! program says.

#[cfg(test)]
mod documented;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod maker;
#[cfg(test)]
mod program;
#[cfg(test)]
mod proof_elsewhere;
#[cfg(test)]
mod proved;
#[cfg(test)]
mod taken;
