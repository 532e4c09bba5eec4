//! How far journals can be trusted, as the program says it.

#[cfg(test)]
mod forged;
#[cfg(test)]
mod maker;
