// Package topology says which operators run and what connects them: a plan.
//
// A plan is data. The typed builder connects ports of the same event type, so
// that a wrong wiring does not compile; [Builder.Build] checks everything else
// and reports every fault at once. The engine runs any valid plan and knows
// nothing of what it is about; topology/retail is the plan that we ship.
//
// Start at [New], [Add], [Source], [Connect], [Sink] and [Builder.Build].
package topology
