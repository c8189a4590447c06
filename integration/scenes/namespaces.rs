//! Two hosts with their own addresses, a cut between them, and the heal.
