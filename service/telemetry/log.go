package telemetry

import (
	"errors"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	logBuffer = 64 << 10               // bytes
	logDelay  = 250 * time.Millisecond // until a record is written at the latest
)

// NewLogger writes records of level and above to w, as JSON or for a person ("console"). The level can be changed. Records
// below warn are written together, a system call for many; stop writes the last ones.
func NewLogger(w io.Writer, level zap.AtomicLevel, format string) (log *zap.Logger, stop func() error) {
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey, encoding.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.NanosDurationEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if format == "console" {
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.EncodeDuration = zapcore.StringDurationEncoder
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	buffer := &zapcore.BufferedWriteSyncer{WS: zapcore.AddSync(onlyWriter{w}), Size: logBuffer, FlushInterval: logDelay}
	core := &promptCore{zapcore.NewCore(encoder, buffer, level), buffer}
	return zap.New(core, zap.AddStacktrace(zapcore.DPanicLevel)), buffer.Stop
}

// onlyWriter hides Sync, which fails for pipes.
type onlyWriter struct{ io.Writer }

// promptCore flushes records of warn and above immediately, since the process may be about to exit.
type promptCore struct {
	zapcore.Core
	buffer *zapcore.BufferedWriteSyncer
}

// With implements [zapcore.Core].
func (c *promptCore) With(fields []zapcore.Field) zapcore.Core {
	return &promptCore{c.Core.With(fields), c.buffer}
}

// Check implements [zapcore.Core].
func (c *promptCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements [zapcore.Core].
func (c *promptCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	err := c.Core.Write(e, fields)
	if e.Level >= zapcore.WarnLevel {
		err = errors.Join(err, c.buffer.Sync())
	}
	return err
}
