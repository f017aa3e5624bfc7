package telemetry

import (
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
	buffer := &zapcore.BufferedWriteSyncer{WS: zapcore.AddSync(w), Size: logBuffer, FlushInterval: logDelay}
	log = zap.New(zapcore.NewCore(encoder, buffer, level), zap.AddStacktrace(zapcore.DPanicLevel), zap.Hooks(func(e zapcore.Entry) error {
		if e.Level >= zapcore.WarnLevel {
			return buffer.Sync() // what went wrong must not wait for a process that may be dying
		}
		return nil
	}))
	return log, buffer.Stop
}
