# SPDX-License-Identifier: GPL-2.0
#
# Models, checked exhaustively with spin.

CHECK_TARGETS += check-ring-model

.PHONY: check-ring-model ring-model
check-ring-model:
	$(Q)tests/models/run quick $(B)/tests/models

ring-model:
	$(Q)tests/models/run full $(B)/tests/models
