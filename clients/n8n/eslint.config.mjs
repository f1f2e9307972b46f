// n8n's own rules: those that it checks packages of the community with before it verifies them, and those of nodes.
import { n8nCommunityNodesPlugin } from '@n8n/eslint-plugin-community-nodes';
import nodesBase from 'eslint-plugin-n8n-nodes-base';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', '*.mjs'] },
  n8nCommunityNodesPlugin.configs.recommended,
  { files: ['**/*.ts', 'package.json'], plugins: { 'n8n-nodes-base': nodesBase } },
  { files: ['package.json'], languageOptions: { parser: tseslint.parser, parserOptions: { extraFileExtensions: ['.json'] } }, rules: nodesBase.configs.community.rules },
  { files: ['credentials/**/*.ts'], languageOptions: { parser: tseslint.parser }, rules: nodesBase.configs.credentials.rules },
  { files: ['nodes/**/*.ts'], languageOptions: { parser: tseslint.parser }, rules: nodesBase.configs.nodes.rules },
  {
    rules: {
      // The project has no address of its own yet; who publishes the package gives these three theirs.
      '@n8n/community-nodes/require-homepage': 'off',
      '@n8n/community-nodes/valid-author': 'off',
      'n8n-nodes-base/cred-class-field-documentation-url-missing': 'off',
      // These want the text "main", where the newer rules want the constant.
      'n8n-nodes-base/node-class-description-inputs-wrong-regular-node': 'off',
      'n8n-nodes-base/node-class-description-outputs-wrong': 'off',
    },
  },
);
