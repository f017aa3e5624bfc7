package pipeline

// What the conformance test needs of the engine.
var (
	SkipMark           = Event.skipMark
	SplitCommitMessage = splitCommitMessage
)
