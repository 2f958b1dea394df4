//! End to end, through the built binary: real SDK calls against the emulator, real CloudTrail envelopes in a real SQS
//! queue, a real store, a real socket. Each test has an AWS account of its own on the shared emulator.
mod by_hand;
mod compute;
mod crash;
mod detect;
mod errors;
mod network;
mod recreate;
mod site;
mod story;
mod trail;
